"""Two studies are compared knob by knob, within the errors that they state."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from benchmarks import agreement as module
from benchmarks.agreement import agreement, halves
from search_spaces.knob import Knob

X = Knob("x", FloatDistribution(0.1, 10.0, log=True), "1", "a reason", 1.0)
CHOICE = Knob("c", CategoricalDistribution(("a", "b", "d")), "choice", "a reason", "a")


def study(seed: int, slope: float, choices: tuple[str, ...] = ("a", "b")) -> list[FrozenTrial]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(40):
        params: dict[str, Any] = {"x": float(10 ** rng.uniform(-1, 1)), "c": str(rng.choice(choices))}
        value = 0.7 + slope * float(np.log10(params["x"])) + rng.normal(0, 0.01)
        spec = {knob.name: knob.distribution for knob in (X, CHOICE)}
        found.append(create_trial(params=params, distributions=spec, value=value, user_attrs={"kind": "lhs"}))
    return found


def test_studies_of_one_truth_agree() -> None:
    found = agreement(study(0, 0.05), study(1, 0.05), (X, CHOICE))
    assert (found.places, found.values) == (41 + 2, 4)
    assert (found.both, found.one) == (("x",), ())
    assert found.agreeing > 0.9 * found.places
    assert found.inside == found.values


def test_studies_of_opposite_truths_do_not() -> None:
    found = agreement(study(0, 0.05), study(1, -0.05), (X, CHOICE))
    assert found.agreeing < 0.5 * found.places
    assert found.inside <= 2


def test_only_choices_that_both_tried_are_compared() -> None:
    assert agreement(study(0, 0.0), study(1, 0.0, ("b", "d")), (X, CHOICE)).places == 41 + 1


def test_sets_of_recorded_trainings_have_no_point_in_common() -> None:
    first, second = halves("fashion_mnist_lt", "acckd_full", 0)
    points = [{tuple(sorted(trial.params.items())) for trial in trials} for trials in (first, second)]
    assert len(points[0]) == len(points[1]) == 50
    assert not points[0] & points[1]


def test_the_table_has_a_row_per_pair_and_one_for_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "ProcessPoolExecutor", ThreadPoolExecutor)
    monkeypatch.setattr(module, "get_space", lambda name: SimpleNamespace(tunable=(X, CHOICE)))
    monkeypatch.setattr(module, "searches", lambda data, space, pair: (study(0, 0.05), study(1, 0.05)))
    monkeypatch.setattr(module, "halves", lambda data, space, pair: (study(0, 0.05), study(1, -0.05)))
    assert module.main(["--pairs", "2", "--workers", "1"]) == 1
    rows = capsys.readouterr().out.splitlines()[2:]
    kinds = [f"{kind}, {which}" for kind in ("searches", "recorded trainings") for which in ("1", "2", "all")]
    assert [row.split(" | ")[0] for row in rows] == [f"| {kind}" for kind in kinds]
    assert rows[0].endswith("| x | - |")
    assert rows[2].endswith("| 1.0 | 0.0 |")
