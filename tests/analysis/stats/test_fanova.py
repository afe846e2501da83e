"""fANOVA's shares are those of Optuna."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.importance import FanovaImportanceEvaluator

from analysis.reading.study_folder import load_study
from analysis.stats.fanova import fanova_shares
from search_spaces.acckd import ACCKD_FULL

Simulated = Callable[..., Path]
ALL_COMPLETE = {"n_pruned": 0, "n_failed": 0, "n_seeds": 0}


def test_fanova_is_optunas_own_for_choices_too(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=20, space=ACCKD_FULL, **ALL_COMPLETE))
    knobs = [knob for knob in study.knobs if knob.name != "kd_weight"]
    names = [knob.name for knob in knobs]
    y = np.random.default_rng(1).normal(size=20) + [trial.params["mix_op"] == "mixup" for trial in study.complete]
    plain = optuna.create_study(direction="maximize")
    plain.add_trials(study.complete)
    expected = FanovaImportanceEvaluator(seed=3).evaluate(plain, params=names, target=lambda trial: y[trial.number])
    total = sum(expected.values())
    ours = fanova_shares(study.complete, knobs, y, seed=3)
    assert ours == pytest.approx({name: value / total for name, value in expected.items()})


def test_a_constant_target_gives_no_knob_a_share(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=24, **ALL_COMPLETE))
    shares = fanova_shares(study.complete, study.knobs, np.ones(len(study.complete)), seed=0)
    assert shares == dict.fromkeys([knob.name for knob in study.knobs], 0.0)
