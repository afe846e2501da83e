"""Importances judge what was planted, for each group, and the second opinions are what their names say."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import load_study
from analysis.search.importance import half_samples, importances
from analysis.search.trial_matrix import position
from search_spaces.acckd import ACCKD_FULL
from search_spaces.knob import Knob
from tests.analysis.simulation import rewriting, set_last_counts
from trainables.cckd.records import ClassCounts

Simulated = Callable[..., Path]
ALL_COMPLETE = {"n_pruned": 0, "n_failed": 0, "n_seeds": 0}


@pytest.fixture
def study(simulated: Simulated) -> StudyData:
    return load_study(simulated(n_trials=24, **ALL_COMPLETE))


def test_the_planted_knobs_come_first_and_the_one_without_effect_is_not_named(simulated: Simulated) -> None:
    ranked = importances(load_study(simulated(n_trials=56, **ALL_COMPLETE)), n_samples=5)
    named = ranked.named("all")
    assert set(named[:2]) == {"cckd_weight", "feature_weight"}
    assert "temperature" not in named


def test_every_group_is_judged_on_its_own(simulated: Simulated) -> None:
    folder = simulated(n_trials=40, **ALL_COMPLETE)
    with rewriting(folder) as ledger:
        for row in ledger.rows():
            assert row.val is not None
            few = round(row.params["mix_ratio"] * row.val.seen[0])  # the tail answers to one knob alone
            set_last_counts(ledger, row.number, ClassCounts((*row.val.correct[:6], *[few] * 4), row.val.seen))
    ranked = importances(load_study(folder), n_samples=3)
    assert set(ranked.noise) == {"all", "many", "medium", "few"}
    assert ranked.named("few") == ["mix_ratio"]
    assert ranked.noise["few"] < 0.2
    assert ranked.named("all")[0] != "mix_ratio"


def test_shares_of_each_measure_add_up_to_one_and_intervals_hold_their_value(study: StudyData) -> None:
    frame = importances(study, n_samples=10).of("all")
    for name in ("ped_anova", "fanova"):
        assert frame[name].sum() == pytest.approx(1)
    assert (frame["ped_anova_low"] <= frame["ped_anova_high"]).all()
    assert frame[["ped_anova_low", "ped_anova_high"]].notna().all(axis=None)


def test_every_group_has_every_measure(study: StudyData) -> None:
    frame = importances(study, n_samples=3).frame
    assert set(frame["target"]) == {"all", "many", "medium", "few"}
    assert frame["fanova"].notna().all()
    assert frame.groupby("target")["fanova"].sum().tolist() == pytest.approx([1.0] * 4)


def test_a_conditional_knob_is_ranked_and_left_out_of_fanova(simulated: Simulated) -> None:
    ranked = importances(load_study(simulated(space=ACCKD_FULL, n_trials=24, **ALL_COMPLETE)), n_samples=3).of("all")
    row = ranked.set_index("knob").loc["kd_weight"]
    assert np.isnan(row["fanova"])
    assert np.isfinite(row["ped_anova"])
    assert ranked["fanova"].notna().sum() == len(ranked) - 1


def test_positions_are_even_in_factors_on_a_log_scale() -> None:
    log = Knob("w", FloatDistribution(0.1, 10.0, log=True), "1", "a reason", 1.0)
    assert [position(log, value) for value in (0.1, 1.0, 10.0)] == pytest.approx([0, 0.5, 1])
    choice = Knob("op", CategoricalDistribution(("a", "b", "c")), "choice", "a reason", "a")
    assert [position(choice, value) for value in "abc"] == [0, 0.5, 1]
    assert np.isnan(position(choice, "d"))


def test_the_same_trials_give_the_same_numbers(study: StudyData) -> None:
    first, second = (importances(study, n_samples=5).frame for _ in range(2))
    assert first.equals(second)


def test_few_trials_rank_nothing(simulated: Simulated) -> None:
    ranked = importances(load_study(simulated(n_trials=7, **ALL_COMPLETE)))
    assert ranked.frame.empty
    assert ranked.n_complete == 7
    assert ranked.named("all") == []


def test_half_samples_hold_half_of_the_trials() -> None:
    assert half_samples(9, 4, np.random.default_rng(0)).sum(axis=1).tolist() == [4] * 4
