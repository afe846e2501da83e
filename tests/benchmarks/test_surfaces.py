"""The surrogate explains more of a known truth than its rivals, and costs are what they are called."""

import numpy as np
import pytest
from optuna.trial import TrialState

from benchmarks.searches import KNOBS, TRUTHS, search
from benchmarks.surfaces import Found, judge, ratio, rivals
from search_spaces.registry import get_space

_PEAK = next(truth for truth in TRUTHS if truth.name == "a peak worth half")


def test_a_search_has_as_many_trials_as_a_default_study_and_none_is_pruned() -> None:
    trials = search(_PEAK, 0)
    assert len(trials) == get_space("acckd_full").default_trials
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}


def test_effects_of_a_truth_have_the_variance_that_they_are_said_to_have() -> None:
    for truth in TRUTHS:
        for name, share in truth.shares.items():
            choices = getattr(next(knob for knob in KNOBS if knob.name == name).distribution, "choices", None)
            at = np.linspace(0, 1, len(choices) if choices else 400)
            values = [truth.effect(name, place) for place in at]
            assert (np.mean(values), np.var(values)) == (pytest.approx(0, abs=1e-9), pytest.approx(share))
        assert truth.effect("k9", 0.3) == 0


def test_the_surrogate_explains_more_of_a_peak_than_its_rivals() -> None:
    found = judge(_PEAK, 1)
    ours = found.r2["the surrogate"]
    assert all(0.5 < ours > other for model, other in found.r2.items() if model != "the surrogate")
    assert all(0 <= cost < 3 for pair in found.costs for cost in pair)


def test_the_ratio_is_that_of_the_mean_costs() -> None:
    assert ratio([Found({}, [(0.1, 0.4), (0.3, 0.2)]), Found({}, [(0.2, 0.6)])]) == pytest.approx(0.5)


def test_rivals_learn_a_slope() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((60, 3))
    for predicted in rivals(x, x[:, 0] + 0.01 * rng.normal(size=60), x).values():
        assert np.corrcoef(predicted, x[:, 0])[0, 1] > 0.9
