"""From the reference point to the best configuration, one change at a time, by what a surrogate predicts.

The greedy path of Fawcett & Hoos (2016): at each step the change that the surrogate likes best. No student is trained
for it, so it is the surrogate's opinion, and the changes late on a path show little because the early ones came first.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.search.surrogate import Surrogate
from search_spaces.space import SearchSpace


def ablation_path(space: SearchSpace, surrogate: Surrogate, best: Mapping[str, Any]) -> pd.DataFrame:
    """Return step, knob, before, after, predicted, change; step 0 is the reference point itself.

    A conditional knob comes and goes with its parent, in the parent's step.
    """
    point: dict[str, Any] = space.reference_point()
    predicted = surrogate.predict(point)
    rows: list[tuple[int, str, Any, Any, float, float]] = [(0, "", None, None, predicted, 0.0)]
    while moves := {name: _moved(space, point, best, name) for name in _different(space, point, best)}:
        scored = {name: surrogate.predict(to) for name, to in moves.items()}
        name = max(scored, key=lambda name: scored[name])
        rows.append((len(rows), name, point.get(name), moves[name].get(name), scored[name], scored[name] - predicted))
        point, predicted = moves[name], scored[name]
    return pd.DataFrame(rows, columns=["step", "knob", "before", "after", "predicted", "change"])


def _different(space: SearchSpace, point: Mapping[str, Any], best: Mapping[str, Any]) -> list[str]:
    """Knobs of both points whose values differ; one that only one point has moves with its parent."""
    return [knob.name for knob in space.tunable if knob.name in point and knob.name in best
            and point[knob.name] != best[knob.name]]  # fmt: skip


def _moved(space: SearchSpace, point: Mapping[str, Any], best: Mapping[str, Any], name: str) -> dict[str, Any]:
    """`point` with `best`'s value of one knob, and with the conditional knobs that this makes active."""
    wished = {**best, **point, name: best[name]}
    moved: dict[str, Any] = {}
    for knob in space.tunable:
        if knob.name in wished and space.is_active(knob.name, moved):
            moved[knob.name] = wished[knob.name]
    return moved
