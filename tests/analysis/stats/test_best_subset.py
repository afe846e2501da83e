"""The subset that holds the truly best trial, against a loop over the trials and simulated truth."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, create_trial
from scipy import stats

from analysis.stats.best_subset import best_subset
from analysis.stats.paired_tests import Spread, spread
from search_spaces.knob import Knob

KNOBS = (
    Knob("w", FloatDistribution(0.0, 1.0), "1", "a reason", 0.5),
    Knob("op", CategoricalDistribution(("a", "b")), "choice", "a reason", "a"),
)


def _trials(values: list[float]) -> list[FrozenTrial]:
    spec = {knob.name: knob.distribution for knob in KNOBS}
    trials = []
    for index, value in enumerate(values):
        at = {"w": index / len(values), "op": "ab"[index % 2]}
        trials.append(create_trial(params=at, distributions=spec, value=value))
        trials[-1].number = index
    return trials


def test_the_set_holds_what_lies_within_the_margin_and_the_ranges_of_its_knobs() -> None:
    fresh = {0: Spread(3, 0.700, 0.010), 4: Spread(3, 0.690, 0.014)}
    noise = ((0.010**2 + 0.014**2) / 2) ** 0.5
    margin = stats.t.ppf(1 - 0.025, 4) * noise * (1 + 1 / 3) ** 0.5
    # Trial 0 was a lucky 0.75 in the search, which does not count.
    found = best_subset(_trials([0.75, 0.7 - 0.9 * margin, 0.5, 0.7 - 1.1 * margin, 0.72]), KNOBS, fresh=fresh)
    assert found is not None
    assert (found.highest, found.margin, found.noise) == pytest.approx((0.7, margin, noise))
    assert found.trials == (0, 4, 1)
    ranges = found.ranges.set_index("knob")
    assert ranges.loc["w", ["low", "high", "n"]].tolist() == [0.0, 0.8, 3]
    assert ranges.loc["op", "low"] == "a, b"


def test_a_finalist_is_judged_by_its_fresh_runs_and_not_by_its_lucky_value() -> None:
    fresh = {0: Spread(3, 0.70, 0.005), 1: Spread(3, 0.60, 0.005)}
    found = best_subset(_trials([0.70, 0.75, 0.69]), KNOBS, fresh=fresh)
    assert found is not None
    assert found.trials == (0, 2)


@pytest.mark.parametrize("kind", ["equal", "noisier half", "t3", "by region"])
def test_the_truly_best_is_kept_though_noise_is_uneven(kind: str) -> None:
    rng, kept = np.random.default_rng(0), 0
    for _ in range(400):
        x = rng.random(44)
        true = 0.72 - 0.2 * (x - 0.55) ** 2 if kind == "by region" else rng.normal(0.70, 0.02, 44)
        sd = 0.012 * np.where((x > 0.5) & (kind != "equal") & (kind != "t3"), 2 if kind == "by region" else 1.5, 1.0)

        def run(sd: np.ndarray = sd, true: np.ndarray = true) -> np.ndarray:
            drawn = rng.standard_t(3, 44) / 3**0.5 if kind == "t3" else rng.normal(size=44)
            return np.asarray(true + sd * drawn)

        values, again = run(), np.array([run() for _ in range(3)])
        finalists = {0, *np.argsort(-values)[:5].tolist()}
        found = best_subset(_trials(values.tolist()), (), fresh={i: spread(again[:, i]) for i in finalists})
        kept += found is not None and int(true.argmax()) in found.trials
    assert kept / 400 >= 0.93


@pytest.mark.parametrize("fresh", [{}, {0: Spread(3, 0.7, 0.01)}, {0: Spread(1, 0.7, float("nan"))}])
def test_without_two_finalists_there_is_no_set(fresh: dict[int, Spread]) -> None:
    assert best_subset(_trials([0.7, 0.6]), KNOBS, fresh=fresh) is None
