"""fANOVA's shares are those of Optuna, on the scale that is searched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import create_trial

from analysis.reading.study_folder import load_study
from analysis.search.trial_matrix import position
from analysis.stats.fanova import fanova_shares
from search_spaces.acckd import ACCKD_FULL
from search_spaces.knob import Knob
from study.strategy.space_filling import at_fraction

Simulated = Callable[..., Path]
ALL_COMPLETE = {"n_pruned": 0, "n_failed": 0, "n_seeds": 0}


def _even(knob: Knob) -> BaseDistribution:
    """The knob's scale as even numbers from 0 to 1, which Optuna takes as they are; a choice stays."""
    kept = isinstance(knob.distribution, CategoricalDistribution)
    return knob.distribution if kept else FloatDistribution(0.0, 1.0)


def test_fanova_is_optunas_own_on_the_searched_scale_for_choices_too(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=20, space=ACCKD_FULL, **ALL_COMPLETE))
    knobs = [knob for knob in study.knobs if knob.name != "kd_weight"]
    assert len({type(knob.distribution) for knob in knobs}) == 2
    y = np.random.default_rng(1).normal(size=20) + [trial.params["mix_op"] == "mixup" for trial in study.complete]
    plain = optuna.create_study(direction="maximize")
    for trial in study.complete:
        params = {
            knob.name: value if isinstance(_even(knob), CategoricalDistribution) else position(knob, value)
            for knob, value in ((knob, trial.params[knob.name]) for knob in knobs)
        }
        plain.add_trial(
            create_trial(value=trial.value, params=params, distributions={knob.name: _even(knob) for knob in knobs})
        )
    expected = FanovaImportanceEvaluator(seed=3).evaluate(plain, target=lambda trial: y[trial.number])
    total = sum(expected.values())
    ours = fanova_shares(study.complete, knobs, y, seed=3)
    assert ours == pytest.approx({name: value / total for name, value in expected.items()})


def _shares(specs: dict[str, Any], truth: Callable[[dict[str, Any]], float]) -> dict[str, float]:
    """Shares over 200 trials at random places of the searched space."""
    rng = np.random.default_rng(0)
    knobs = [Knob(name, spec, "1", "a reason", spec.low) for name, spec in specs.items()]
    trials = []
    for _ in range(200):
        params = {name: at_fraction(spec, float(rng.random())) for name, spec in specs.items()}
        trials.append(create_trial(value=0.0, params=params, distributions=specs))
    y = np.array([truth(trial.params) for trial in trials])
    return fanova_shares(trials, knobs, y, seed=0)


def test_a_log_knob_that_acts_in_its_lower_decades_has_its_share() -> None:
    """Over the bare numbers all but a hundredth of the range lies above the middle: `a` had 91 %."""
    specs = {"lr": FloatDistribution(1e-4, 1.0, log=True), "a": FloatDistribution(0.0, 1.0)}
    shares = _shares(specs, lambda params: float(params["lr"] < 1e-2) + 0.3 * params["a"])
    # The variances are 1/4 and 0.09/12.
    assert shares["lr"] == pytest.approx(0.25 / (0.25 + 0.0075), abs=0.02)


@pytest.mark.parametrize(
    "spec", [IntDistribution(1, 4), IntDistribution(0, 30, step=10), FloatDistribution(0.0, 0.75, step=0.25)]
)
def test_the_values_of_a_whole_number_and_of_a_step_count_alike(spec: IntDistribution | FloatDistribution) -> None:
    """One of four values has an effect of 1: its variance is 3/16, wherever the value lies."""
    specs = {"n": spec, "a": FloatDistribution(0.0, 1.0)}
    shares = _shares(specs, lambda params: float(params["n"] == spec.low) + params["a"])
    assert shares["n"] == pytest.approx((3 / 16) / (3 / 16 + 1 / 12), abs=0.05)


def test_a_whole_number_on_a_log_scale_counts_in_factors() -> None:
    specs = {"n": IntDistribution(1, 1000, log=True), "a": FloatDistribution(0.0, 1.0)}
    shares = _shares(specs, lambda params: float(params["n"] < 30) + 0.3 * params["a"])
    assert shares["n"] > 0.9


def test_a_constant_target_gives_no_knob_a_share(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=24, **ALL_COMPLETE))
    shares = fanova_shares(study.complete, study.knobs, np.ones(len(study.complete)), seed=0)
    assert shares == dict.fromkeys([knob.name for knob in study.knobs], 0.0)
