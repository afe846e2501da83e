"""A whole study, one trial at a time, killed and interrupted in every way: it ends as one that was left alone."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.support.commands import Command, Ended
from tests.support.kills import kill_driver, kill_workers
from tests.support.watched_study import WatchedStudy
from tests.whole.whole import SMOKE, Start, Study, interrupted, table_rows, wait

pytestmark = pytest.mark.slow

#: Trials of a second or two, one at a time, so that a kill hits one and the order of events is fixed. Nothing looks at
#: a selection here: signals in it, and in all that follows, are for test_whole_study.
ALONE = (*SMOKE, "--trials", "6", "--epochs", "12", "--max-concurrent", "1")
ALONE += ("--finalists", "0", "--confirm-seeds", "0", "--ablation-seeds", "0")


@pytest.fixture(scope="module")
def undisturbed(run: Start) -> Study:
    """One worker, nothing happens. The studies below must equal it, also in the trials that nothing has hit."""
    path, command = run("undisturbed", *ALONE)
    study = Study(path, command.end())
    assert (study.ended.code, study.ended.err) == (0, "")
    return study


def test_ctrl_c_lets_trials_checkpoint_and_resume_completes_the_study(run: Start, undisturbed: Study) -> None:
    path, command = run("interrupted", *ALONE)
    wait(command, lambda: len(table_rows(path, "epoch_records")) >= 15)
    pressed = time.time()
    command.interrupt()
    stopped = interrupted(path, command)
    assert any("Ctrl-C again ends them now" in line for line in _unwrapped(stopped.ended))
    assert len(stopped.states()) < 6
    running = [number for number, state in enumerate(stopped.states()) if state == "RUNNING"]
    saved = [WatchedStudy(path).last_checkpoint(number) for number in running]
    assert [moment for moment in saved if moment is None or moment < pressed] == []
    why = {row["stopped"].partition(" after ")[0] for row in stopped.csv("trials.csv") if row["state"] == "RUNNING"}
    assert why == {"interrupted"}
    _completes_as_undisturbed(path, undisturbed)


def test_a_second_ctrl_c_does_not_wait_for_a_trial_that_hangs_and_loses_nothing(run: Start, undisturbed: Study) -> None:
    path, command = run("impatient", *ALONE)
    wait(command, lambda: len(table_rows(path, "epoch_records")) >= 15)
    for worker in command.trial_workers():
        os.kill(worker, signal.SIGSTOP)
    command.interrupt()
    time.sleep(1)
    assert command.running, "Ray waits ten seconds for the trial"
    pressed = time.monotonic()
    command.interrupt()
    for _ in range(3):  # impatience does no harm
        time.sleep(0.2)
        command.interrupt()
    interrupted(path, command)
    assert time.monotonic() - pressed < 60, "the trial would hang for ever"
    assert command.left_behind() == []
    _completes_as_undisturbed(path, undisturbed)


def test_three_kills_of_the_driver_are_survived_and_nothing_is_lost_or_repeated(run: Start, undisturbed: Study) -> None:
    killed = WatchedStudy(undisturbed.path.with_name("killed"))
    expected = WatchedStudy(undisturbed.path).results()

    def start() -> Command:
        return run("killed", *ALONE)[1]

    kills = kill_driver(killed, start, n=3, rng=random.Random(0), expected=expected, working_s=1.0)
    assert (kills.faults, kills.orphans) == ([], 0)
    assert killed.manifest["status"] == "done"


def test_three_kills_of_trial_workers_leave_the_metrics_as_they_would_have_been(run: Start, undisturbed: Study) -> None:
    killed = WatchedStudy(undisturbed.path.with_name("workers"))
    expected = WatchedStudy(undisturbed.path).results()
    kills = kill_workers(killed, lambda: run("workers", *ALONE)[1], n=3, rng=random.Random(1), expected=expected)
    assert kills.faults == []
    assert sorted(killed.attempts().values()) == [1, 1, 1, 2, 2, 2]


def _completes_as_undisturbed(path: Path, undisturbed: Study) -> None:
    before = Study(path, Ended(0, "", "")).results()
    resumed = Study(path, Command("study.resume", str(path)).end())
    assert (resumed.ended.code, resumed.ended.err) == (0, "")
    assert len(resumed.states()) == 6
    assert "RUNNING" not in resumed.states()
    finished = [number for number, row in enumerate(before) if row[1] != "RUNNING"]
    assert [resumed.results()[number] for number in finished] == [before[number] for number in finished]
    assert resumed.results() == undisturbed.results()
    assert resumed.manifest["status"] == "done"
    assert len(resumed.manifest["starts"]) == 2


def _unwrapped(ended: Ended) -> list[str]:
    return ended.out.replace("\n         ", " ").splitlines()
