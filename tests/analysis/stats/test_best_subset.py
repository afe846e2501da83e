"""The subset that holds the truly best trial, with the promised probability."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from analysis.stats.best_subset import best_subset, critical_distance
from search_spaces.knob import Knob

KNOBS = (
    Knob("w", FloatDistribution(0.0, 1.0), "1", "a reason", 0.5),
    Knob("op", CategoricalDistribution(("a", "b")), "choice", "a reason", "a"),
)


def _trials(values: list[float]) -> list[FrozenTrial]:
    spec = {knob.name: knob.distribution for knob in KNOBS}
    points = [{"w": index / len(values), "op": "ab"[index % 2]} for index in range(len(values))]
    return [create_trial(params=at, distributions=spec, value=value) for at, value in zip(points, values, strict=True)]


def test_the_set_holds_the_scores_within_the_margin_and_the_ranges_of_their_knobs() -> None:
    margin = 0.01 * critical_distance(5, 30)
    found = best_subset(_trials([0.7, 0.7 - 0.9 * margin, 0.5, 0.7 - 1.1 * margin, 0.69]), KNOBS, noise=0.01, free=30)
    assert found is not None
    assert found.margin == pytest.approx(margin)
    ranges = found.ranges.set_index("knob")
    assert ranges.loc["w", ["low", "high", "n"]].tolist() == [0.0, 0.8, 3]
    assert ranges.loc["op", "low"] == "a, b"


def test_the_critical_distance_of_two_is_that_of_a_t_test_of_their_difference() -> None:
    # For two, d / sqrt(2) is the 95 % quantile of t; tables of Gupta (1965) give 2.33 for two and 3.6 for 50.
    assert critical_distance(2, 10**6) == pytest.approx(1.645 * 2**0.5, abs=0.02)
    assert critical_distance(2, 10) == pytest.approx(1.812 * 2**0.5, abs=0.02)


@pytest.mark.parametrize("gap", [0.0, 0.004, 0.05])
def test_the_truly_best_is_kept_as_often_as_promised(gap: float) -> None:
    rng = np.random.default_rng(0)
    true = np.array([0.7 + gap, *[0.7] * 39])
    margin = critical_distance(40, 35)
    kept = 0
    for _ in range(1000):
        seen = true + rng.normal(0, 0.012, 40)
        noise = 0.012 * np.sqrt(rng.chisquare(35) / 35)
        kept += seen[0] >= seen.max() - margin * noise
    assert kept / 1000 >= 0.93


@pytest.mark.parametrize(("noise", "free"), [(float("nan"), 10), (0.01, 0)])
def test_without_a_noise_to_judge_by_there_is_no_set(noise: float, free: int) -> None:
    assert best_subset(_trials([0.7, 0.6]), KNOBS, noise=noise, free=free) is None
