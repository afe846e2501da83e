"""An attempt carries its cause from the scheduler or the watchdog to the searcher."""

import pytest

from study.execution.attempts import AttemptLog
from study.execution.failure_budget import FailureBudget

KILLED = "worker killed: its process died"


@pytest.fixture
def attempts() -> AttemptLog:
    log = AttemptLog(FailureBudget(max_retries=2, max_failures=3))
    log.begin("a", "run a")
    log.begin("b", "run b")
    return log


def test_a_crash_carries_its_cause_to_the_end_of_the_attempt(attempts: AttemptLog) -> None:
    attempts.crash("a", KILLED)
    ended, other = attempts.end("a"), attempts.end("b")
    assert ended is not None
    assert (ended.run, ended.cause) == ("run a", KILLED)
    assert other is not None
    assert (other.run, other.cause) == ("run b", None)
    assert attempts.n_running == 0


def test_a_worker_that_was_killed_for_its_silence_has_hung(attempts: AttemptLog) -> None:
    attempts.hang("b", 60.0)
    attempts.crash("b", KILLED)
    ended = attempts.end("b")
    assert ended is not None
    assert ended.cause == "hung: no report for 60 s"


def test_an_attempt_ends_once(attempts: AttemptLog) -> None:
    attempts.end("a")
    assert attempts.end("a") is None
    assert attempts.end("never begun") is None


def test_a_crash_counts_even_if_its_attempt_has_ended(attempts: AttemptLog) -> None:
    for _ in range(6):
        attempts.crash("never begun", KILLED)
    assert "(6 of 6): worker killed" in str(attempts.budget.verdict)


def test_the_first_error_of_a_callback_is_kept_and_raised(attempts: AttemptLog) -> None:
    first = OSError("disk full")
    for error in (first, ValueError("later")):
        with pytest.raises(type(error)), attempts.keeping_fault():
            raise error
    assert attempts.fault is first


def test_a_result_that_cannot_be_used_is_no_progress() -> None:
    def refuse() -> None:
        raise ValueError("no result can be used")

    attempts = AttemptLog(FailureBudget(max_retries=2, max_failures=3), before_result=refuse)
    for _ in range(6):
        attempts.crash("a", KILLED)
    with pytest.raises(ValueError, match="no result"):
        attempts.report(None, 1)
    assert attempts.budget.verdict is not None


def test_epochs_that_a_continued_attempt_repeats_count_once() -> None:
    counted: list[int] = []
    attempts = AttemptLog(FailureBudget(max_retries=2, max_failures=3), on_epochs=counted.append)
    attempts.begin("new", "run")
    attempts.begin("left", "another", continues=True)
    attempts.report(attempts.running("new"), 5)
    attempts.report(attempts.running("left"), 40)  # all epochs since the first one
    attempts.report(attempts.running("left"), 3)
    attempts.report(attempts.end("left"), 0)
    assert counted == [5, 1, 3, 0]
