"""PED-ANOVA's shares are those of Optuna's own evaluator, for every kind of knob and for any sample of the trials."""

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, create_trial

from analysis.stats.ped_anova import ped_anova_shares

TOP = 0.25
SPACE: dict[str, BaseDistribution] = {
    "log": FloatDistribution(0.1, 10.0, log=True),
    "linear": FloatDistribution(-1.0, 2.0),
    "stepped": FloatDistribution(0.0, 1.0, step=0.1),
    "log_whole": IntDistribution(1, 64, log=True),
    "few_whole": IntDistribution(2, 9),
    "many_whole": IntDistribution(0, 300, step=5),
    "choice": CategoricalDistribution(("x", "y", "z")),
    "switch": CategoricalDistribution((False, True)),
    "conditional": FloatDistribution(0.0, 1.0),
    "fixed": FloatDistribution(1.0, 1.0),
}
NAMES = list(SPACE)


def _value(spec: BaseDistribution, rng: np.random.Generator) -> Any:
    if isinstance(spec, CategoricalDistribution):
        return spec.choices[rng.integers(len(spec.choices))]
    assert isinstance(spec, FloatDistribution | IntDistribution)
    if spec.log:
        value = np.exp(rng.uniform(np.log(spec.low), np.log(spec.high)))
        return int(value) if isinstance(spec, IntDistribution) else float(value)
    if spec.step is None:
        return float(rng.uniform(spec.low, spec.high))
    steps = int(rng.integers(0, round((spec.high - spec.low) / spec.step) + 1))
    return type(spec.low)(round(spec.low + steps * spec.step, 6))


def _trials(n: int, rng: np.random.Generator) -> list[FrozenTrial]:
    """Every fifth trial has another range of `linear`, and half of them lack `conditional`."""
    found = []
    for k in range(n):
        specs = SPACE | ({"linear": FloatDistribution(-1.0, 3.0)} if k % 5 == 0 else {})
        params = {name: _value(spec, rng) for name, spec in specs.items()}
        if not params["switch"]:
            del specs["conditional"], params["conditional"]
        value = round(float(rng.normal()) + (params["choice"] == "x") + params["linear"], 1)  # with ties
        found.append(create_trial(params=params, distributions=specs, value=value))
    return found


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore:Some regimes")
@pytest.mark.parametrize("n", [13, 60])
def test_the_shares_are_optunas_own(n: int) -> None:
    rng = np.random.default_rng(n)
    trials = _trials(n, rng)
    y = np.array([trial.value for trial in trials], dtype=float)
    samples = np.vstack([np.ones(n, dtype=bool), rng.random((3, n)) < 0.6])
    for sample, ours in zip(samples, ped_anova_shares(trials, NAMES, y, samples, top=TOP), strict=True):
        plain = optuna.create_study(direction="maximize")
        plain.add_trials([trial for trial, kept in zip(trials, sample, strict=True) if kept])
        params = [name for name in NAMES if any(name in trial.params for trial in plain.trials)]
        theirs = PedAnovaImportanceEvaluator(target_quantile=TOP).evaluate(plain, params=params)
        expected = np.array([theirs.get(name, 0.0) for name in NAMES])
        assert ours == pytest.approx(expected / expected.sum(), rel=1e-12, abs=1e-14)


def test_where_every_trial_is_as_good_no_knob_has_more_than_its_part() -> None:
    trials = _trials(20, np.random.default_rng(0))
    shares = ped_anova_shares(trials, NAMES, np.ones(20), np.ones((1, 20), dtype=bool), top=TOP)
    assert shares == pytest.approx(np.full((1, len(NAMES)), 1 / len(NAMES)))


def test_a_knob_that_the_best_trials_share_has_the_largest_share() -> None:
    trials = _trials(200, np.random.default_rng(1))
    y = -np.array([abs(trial.params["linear"]) for trial in trials])
    shares = ped_anova_shares(trials, NAMES, y, np.ones((1, 200), dtype=bool), top=TOP)
    assert NAMES[int(shares.argmax())] == "linear"
