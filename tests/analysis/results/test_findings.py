"""The first screen claims what the intervals carry, and nothing else."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis.reading.study_data import load_study
from analysis.reading.wording import mean_sd, p_value, percent, points
from analysis.results.findings import Findings, find
from analysis.search.history import failure_causes, history, pruned_at, state_counts, time_to_best
from analysis.search.importance import Importances
from analysis.stats.paired_tests import spread

Simulated = Callable[..., Path]
LA = (0.86, 0.50)
SMALL = {"n_trials": 6, "n_pruned": 0, "n_failed": 0}


def _find(folder: Path, n_complete: int = 6) -> Findings:
    return find(load_study(folder), Importances(pd.DataFrame(), n_complete, 0, ()))


def _recalls(best: tuple[float, float], **others: tuple[float, float]) -> dict[str, tuple[float, float]]:
    return {"la": LA, "kd": (0.93, 0.30), "acckd": (0.84, 0.58), "best1": best} | others


def test_a_gain_over_both_baselines_is_told_with_its_size_and_interval(simulated: Simulated) -> None:
    found = _find(simulated(recalls=_recalls((0.83, 0.64)), **SMALL))
    assert found.headline == "A gain over la and kd"
    assert "beats logit adjustment (la) by 5." in found.sentences[0]
    assert "95 % interval +" in found.sentences[0]


def test_no_difference_is_reported_as_no_gain(simulated: Simulated) -> None:
    found = _find(simulated(recalls=_recalls(LA, kd=LA), **SMALL))
    assert found.headline == "No gain shown over la and kd"
    assert "cannot be told apart" in found.sentences[0]


def test_a_loss_is_called_one(simulated: Simulated) -> None:
    found = _find(simulated(recalls=_recalls((0.82, 0.46)), **SMALL))
    assert found.headline == "No gain: worse than la"
    assert "falls behind logit adjustment (la)" in found.sentences[0]


def test_a_gain_over_one_baseline_only_names_the_other(simulated: Simulated) -> None:
    found = _find(simulated(recalls=_recalls(LA), **SMALL))
    assert found.headline == "A gain over kd, none shown over la"


def test_the_price_for_the_head_is_told(simulated: Simulated) -> None:
    sentences = " ".join(_find(simulated(recalls=_recalls((0.80, 0.64)), **SMALL)).sentences)
    assert "Each point gained on Few costs" in sentences


@pytest.mark.parametrize("n_seeds", [1, 2, 5])
def test_fewer_than_six_seeds_claim_nothing(simulated: Simulated, n_seeds: int) -> None:
    found = _find(simulated(n_seeds=n_seeds, **SMALL))
    assert found.headline == "An indication only: fewer than 6 seeds"
    assert "beats" not in " ".join(found.sentences)


def _ranked(*above: str) -> Importances:
    knobs = ["a", "b", "c"]
    shares = {"permutation": [0.9, 0.1, 0.0], "permutation_low": [0.7, 0.0, 0.0], "permutation_high": [1.1, 0.2, 0.0]}
    frame = pd.DataFrame({"target": "all", "knob": knobs, **shares, "ped_anova": [0.5, 0.4, 0.1]})
    frame = frame.assign(fanova=[0.3, 0.6, 0.1], above_chance=frame["knob"].isin(above))
    return Importances(frame, 60, 50, (), {"all": 0.05})


def test_only_knobs_above_chance_are_said_to_matter(simulated: Simulated) -> None:
    study = load_study(simulated(**SMALL))
    told = " ".join(find(study, _ranked("a", "b")).sentences)
    assert "a matters most: shuffling it adds an error of 90 % of the variance, 95 % interval 70 to 110 %" in told
    assert "a and b are above chance among 3 knobs. fANOVA puts b first." in told
    assert "No knob is shown to matter: of 3 none is above chance" in " ".join(find(study, _ranked()).sentences)


def test_a_knob_whose_shuffling_may_cost_nothing_is_not_said_to_matter_most(simulated: Simulated) -> None:
    importances = _ranked("a")
    importances.frame.loc[0, "permutation_low"] = -0.04
    told = " ".join(find(load_study(simulated(**SMALL)), importances).sentences)
    assert "a ranks first, by a margin that may be zero: shuffling it adds" in told
    assert "matters most" not in told


def test_every_confirmed_report_says_what_it_is_conditional_on(simulated: Simulated) -> None:
    assert "conditional on one training subset" in _find(simulated(**SMALL)).sentences[-1]


def test_the_choice_among_finalists_is_told_with_the_luck_of_the_search(simulated: Simulated) -> None:
    folder = simulated()
    study = load_study(folder)
    assert study.best is not None
    shutil.rmtree(folder)
    runs = {study.best.number: (0.61, 0.63), 0: (0.50, 0.52)}
    told = " ".join(_find(simulated(finalists=runs)).sentences)
    assert f"best1 is trial {study.best.number}, chosen among 2 finalists by the mean of 2 fresh runs" in told
    assert "62.0 % there" in told
    assert "was 62.0 % on average when trained again" in told


def test_without_a_confirmation_no_gain_is_claimed(simulated: Simulated) -> None:
    found = _find(simulated(n_seeds=0, **SMALL))
    assert found.headline == "A best configuration, not yet confirmed on the test set"
    assert any("no gain is claimed" in sentence for sentence in found.sentences)


def test_a_running_study_says_so(simulated: Simulated) -> None:
    found = _find(simulated(n_seeds=0, status="running", n_running=2, **SMALL))
    assert found.headline.startswith("Still running")


def test_a_study_without_a_complete_trial_says_so(simulated: Simulated) -> None:
    found = _find(simulated(n_trials=0, n_pruned=0, n_failed=0, n_seeds=0, status="failed"))
    assert found.headline == "No trial ran to the end"
    assert found.warnings == ("The study is marked failed: it holds less than was planned.",)


def test_selection_on_test_and_a_weak_teacher_are_warned_of(simulated: Simulated) -> None:
    recalls = _recalls((0.83, 0.64), teacher=(0.5, 0.3))
    warnings = _find(simulated(selected_on="test", recalls=recalls, **SMALL)).warnings
    assert warnings[0].startswith("Selected on test")
    assert "is worse on test than la" in warnings[1]


def test_a_teacher_worse_than_la_where_choices_are_made_is_warned_of(simulated: Simulated) -> None:
    folder = simulated(**SMALL)
    study = load_study(folder)
    la = study.confirm.loc[study.confirm["entry"] == "la", "val_balanced_accuracy"].mean()
    for own, n_warned in ((la - 0.01, 1), (la + 0.01, 0)):
        study.manifest["teacher"]["val_balanced_accuracy"] = own
        warnings = find(study, Importances(pd.DataFrame(), 6, 0, ())).warnings
        assert sum("is worse on validation than la" in warning for warning in warnings) == n_warned


def test_the_best_so_far_counts_complete_trials_only(simulated: Simulated) -> None:
    table = history(load_study(simulated(n_trials=30, n_seeds=0)))
    best = float("nan")
    for row in table.itertuples():
        if row.state == "COMPLETE" and not best >= row.value:
            best = row.value
        assert row.best_so_far == best


def test_time_spent_counts_every_trial_whatever_became_of_it(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=20, n_pruned=4, n_failed=2, n_seeds=0))
    table = history(study)
    spent, reached = 0.0, []
    for row in table.itertuples():
        spent += 0.0 if row.duration_s != row.duration_s else row.duration_s
        assert row.spent_s == pytest.approx(spent)
        if row.best_so_far >= table["best_so_far"].iloc[-1] - 0.01:
            reached.append(spent)
    assert set(table.loc[table["duration_s"] > 0, "state"]) >= {"COMPLETE", "PRUNED"}
    assert time_to_best(table) == pytest.approx(reached[0])
    assert 0 < reached[0] <= spent


def test_states_causes_and_rungs_are_counted(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=20, n_pruned=4, n_failed=2, n_running=1, n_seeds=0))
    assert state_counts(study) == {"COMPLETE": 14, "PRUNED": 4, "FAIL": 2, "RUNNING": 1}
    ((cause, numbers),) = failure_causes(study)
    assert cause.startswith("loss term 'cckd'")
    assert len(numbers) == 2
    assert pruned_at(study) == [(5, 4)]


def test_numbers_are_worded_as_a_reader_meets_them() -> None:
    assert [percent(value) for value in (0.70625, -0.03, -0.0001)] == ["70.6", "−3.0", "0.0"]
    assert percent(float("nan")) == "–"
    assert [points(value) for value in (0.0412, -0.0141, -0.0001, 0.0)] == ["+4.1", "−1.4", "0.0", "0.0"]
    assert mean_sd(spread([0.5])) == "50.0"
    assert mean_sd(spread([])) == "–"
    assert [p_value(p) for p in (0.0001, 0.0312, float("nan"))] == ["< 0.001", "0.031", "–"]
