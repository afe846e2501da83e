"""Importances find what was planted, name what they cannot rank, and say when they are not settled."""

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.importance import FanovaImportanceEvaluator

from analysis.importance import importances
from analysis.tables import load_study
from search_spaces.acckd import ACCKD_FULL

Simulated = Callable[..., Path]


def test_the_planted_knobs_come_before_the_one_without_effect(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=56, n_pruned=0, n_failed=0, n_seeds=0))
    ranked = importances(study.complete, study.knobs, n_bootstrap=5)
    assert ranked.frame["knob"].iloc[0] in ("cckd_weight", "feature_weight")
    share = ranked.frame.set_index("knob")["fanova"]
    assert share["temperature"] < min(share["cckd_weight"], share["feature_weight"])
    assert ranked.settled


def test_shares_of_each_method_add_up_to_one_and_intervals_are_ordered(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=20, n_pruned=0, n_failed=0, n_seeds=0))
    frame = importances(study.complete, study.knobs, n_bootstrap=10).frame
    assert frame["ped_anova"].sum() == pytest.approx(1)
    assert frame["fanova"].sum() == pytest.approx(1)
    assert (frame["ped_anova_low"] <= frame["ped_anova_high"]).all()


def test_fanova_is_optunas_own(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=20, n_pruned=0, n_failed=0, n_seeds=0))
    plain = optuna.create_study(direction="maximize")
    plain.add_trials(study.complete)
    expected = FanovaImportanceEvaluator(seed=0).evaluate(plain)
    total = sum(expected.values())
    ours = importances(study.complete, study.knobs, n_bootstrap=2).frame.set_index("knob")["fanova"]
    assert ours.to_dict() == pytest.approx({name: value / total for name, value in expected.items()})


def test_the_same_trials_give_the_same_numbers(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=20, n_pruned=0, n_failed=0, n_seeds=0))
    first, second = (importances(study.complete, study.knobs, n_bootstrap=5).frame for _ in range(2))
    assert first.equals(second)


def test_a_conditional_knob_is_named_as_not_ranked(simulated: Simulated) -> None:
    study = load_study(simulated(space=ACCKD_FULL, n_trials=20, n_pruned=0, n_failed=0, n_seeds=0))
    ranked = importances(study.complete, study.knobs, n_bootstrap=2)
    assert ranked.unranked == ("kd_weight",)
    assert "kd_weight" not in set(ranked.frame["knob"])


def test_few_trials_rank_nothing(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=7, n_pruned=0, n_failed=0, n_seeds=0))
    ranked = importances(study.complete, study.knobs)
    assert ranked.frame.empty
    assert ranked.n_complete == 7
    assert not ranked.settled
