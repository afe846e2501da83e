"""Runs of the confirmation that failed for good: a diverged one counts at chance, a lost one is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.reading.failed_runs import at_chance, failed_runs
from analysis.reading.study_folder import load_study
from study.records.run_tables import ConfirmRun, RerunAttempts
from tests.analysis.simulation import fail_run

Simulated = Callable[..., Path]
SMALL = {"n_trials": 4, "n_pruned": 0, "n_failed": 0}
DIVERGED = RerunAttempts(1, 0, "non-finite loss: cckd became nan", failed=True)
LOST = RerunAttempts(3, 3, "out of memory: the node is full", failed=True)


def _recorded(entry: str, seed: int | None) -> ConfirmRun:
    return ConfirmRun(entry, seed, None, {"test": {"correct": [20, 2], "seen": [30, 5]}, "selected_on": "val"})


def test_only_runs_of_entries_and_their_present_trials_that_were_given_up_count() -> None:
    attempts = {
        "best1-trial7-seed1001": DIVERGED,
        "best1-trial3-seed1001": DIVERGED,  # of a former best1
        "candidate-trial7-seed5": DIVERGED,
        "la-seed1002-cut1-x2": LOST,
        "kd-seed1001": RerunAttempts(2, 1, DIVERGED.cause, failed=False),  # tried again
        "la-seed1001": DIVERGED,  # and finished by another version
        "teacher-seedNone": DIVERGED,
    }
    found = failed_runs(attempts, {"best1": 7, "la": None, "kd": None}, [_recorded("la", 1001)])
    assert [(run.key.entry, run.key.seed, run.key.epochs_factor, run.diverged) for run in found] == [
        ("best1", 1001, 1, True),
        ("la", 1002, 2, False),
    ]
    (chance,) = at_chance(found, [_recorded("teacher", None)], selected_on="val")
    assert chance.record["test"] == {"correct": [15.0, 2.5], "seen": [30, 5]}
    assert (chance.trial, chance.record["selected_on"]) == (7, "val")
    assert at_chance(found, [], selected_on="val") == ()


@pytest.mark.parametrize(("cause", "n"), [("non-finite loss: it became inf", 1), ("hung: no report in 1800 s", 0)])
def test_a_diverged_run_stands_at_chance_beside_the_finished_runs(simulated: Simulated, cause: str, n: int) -> None:
    folder = simulated(**SMALL)
    fail_run(folder, "kd", 1003, cause)
    study = load_study(folder)
    assert len(study.confirm) == 7 * 6  # a report says what the exports say of finished runs
    assert [(run.key.entry, run.key.seed, run.diverged) for run in study.failed] == [("kd", 1003, bool(n))]
    assert study.diverged[["entry", "seed"]].values.tolist() == [["kd", 1003]] * n
    columns = ["test_balanced_accuracy", "test_few", "test_many", "val_balanced_accuracy", "test_worst"]
    assert study.diverged[columns].to_numpy().ravel().tolist() == pytest.approx([0.1] * len(columns) * n)


def test_runs_at_a_longer_training_and_on_other_subsets_stand_apart(simulated: Simulated) -> None:
    longer = {"la": (0.86, 0.50), "kd": (0.93, 0.30), "best1": (0.83, 0.64)}
    folder = simulated(n_cuts=2, longer=longer, **SMALL)
    fail_run(folder, "kd", 1002, DIVERGED.cause, epochs_factor=2)
    fail_run(folder, "la", 10**13 + 1001, DIVERGED.cause, data_seed=1)
    study = load_study(folder)
    assert len(study.diverged) == 0
    assert study.every_subset.diverged["entry"].tolist() == ["la"]
    assert study.diverged_longer[["entry", "epochs_factor"]].values.tolist() == [["kd", 2]]
