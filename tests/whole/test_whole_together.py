"""A whole study whose trials share a process, which is killed once: every trial ends as in a process of its own."""

import os
import signal

import pytest

from tests.support.commands import TRIAL_HOST, command_line
from tests.support.watched_study import WatchedStudy
from tests.whole.whole import SMOKE, Start, Study, interrupted, table_rows, wait

pytestmark = pytest.mark.slow

#: What becomes of a trial hangs on no other one.
APART = (*SMOKE, "--trials", "4", "--epochs", "20", "--sampler", "random", "--pruner", "none")
APART += ("--finalists", "0", "--confirm-seeds", "0", "--ablation-seeds", "0")
TOGETHER = ("--trials-per-process", "2")


@pytest.fixture(scope="module")
def apart(run: Start) -> Study:
    """Every trial in a process of its own."""
    path, command = run("apart", *APART, "--max-concurrent", "1")
    study = Study(path, command.end())
    assert (study.ended.code, study.ended.err) == (0, "")
    return study


def test_trials_that_share_a_process_and_survive_its_death_end_as_trials_apart(run: Start, apart: Study) -> None:
    path, command = run("together", *APART, *TOGETHER)
    wait(command, lambda: {row[0] for row in table_rows(path, "epoch_records")} >= {0, 1})
    (host,) = [pid for pid in command.others() if command_line(pid).startswith(TRIAL_HOST)]
    os.kill(host, signal.SIGKILL)
    together = Study(path, command.end())
    assert (together.ended.code, together.ended.err) == (0, "")
    assert together.results() == apart.results()
    assert WatchedStudy(path).attempts() == {0: 2, 1: 2, 2: 1, 3: 1}
    assert command.left_behind() == []


def test_ctrl_c_ends_trials_that_share_a_process_with_a_checkpoint(run: Start, apart: Study) -> None:
    path, command = run("interrupted", *APART, *TOGETHER)
    wait(command, lambda: len(table_rows(path, "epoch_records")) >= 6)
    command.interrupt()
    stopped = interrupted(path, command)
    running = [number for number, state in enumerate(stopped.states()) if state == "RUNNING"]
    assert running != []
    assert None not in [WatchedStudy(path).last_checkpoint(number) for number in running]
    assert command.left_behind() == []
