"""The path from the reference point to the best configuration, one change at a time, by a surrogate's predictions.

The greedy path of Fawcett & Hoos (2016): each step is the change with the highest prediction. No student is trained
for it: the path shows predictions only. Late changes show little, because the early changes come first.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.search.forests import Surrogate
from search_spaces.space import SearchSpace


def ablation_path(space: SearchSpace, surrogate: Surrogate, best: Mapping[str, Any]) -> pd.DataFrame:
    """Return step, knob, before, after, predicted, change; step 0 is the reference point itself.

    A conditional knob appears and disappears in the step of its parent.
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
    """Return the knobs of both points with different values; a knob of one point only moves with its parent."""
    return [knob.name for knob in space.tunable if knob.name in point and knob.name in best
            and point[knob.name] != best[knob.name]]  # fmt: skip


def _moved(space: SearchSpace, point: Mapping[str, Any], best: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return `point` with the value of one knob from `best`, and the conditional knobs that become active."""
    wished = {**best, **point, name: best[name]}
    moved: dict[str, Any] = {}
    for knob in space.tunable:
        if knob.name in wished and space.is_active(knob.name, moved):
            moved[knob.name] = wished[knob.name]
    return moved
