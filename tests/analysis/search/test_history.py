"""The history of a search: best so far, time spent, counts by state."""

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.reading.study_folder import load_study
from analysis.search.history import failure_causes, history, pruned_at, state_counts, time_to_best

Simulated = Callable[..., Path]


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
