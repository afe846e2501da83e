"""When a study stops starting trials: too many failures for good, or nothing but crashes."""

import pytest

from study.execution.failure_budget import CRASHES_IN_A_ROW, Failures

KILLED, LOST = "worker killed: its process died", "lost node: gone"


def _failures(n_workers: int = 1, max_failures: int = 3, causes: tuple[str, ...] = ()) -> Failures:
    return Failures(max_retries=2, max_failures=max_failures, n_workers=n_workers, causes=causes)


@pytest.mark.parametrize("max_failures", [0, 3])
def test_as_many_runs_may_fail_as_were_allowed_those_of_earlier_drivers_included(max_failures: int) -> None:
    failures = _failures(max_failures=max_failures, causes=("bad configuration: no",) * max_failures)
    assert failures.verdict is None
    failures.fail("non-finite loss: it")
    assert f"{max_failures + 1} runs failed and --max-failures allows {max_failures}" in str(failures.verdict)
    commonest = "bad configuration: no" if max_failures else "non-finite loss: it"
    assert f"of {max_failures + 1}): {commonest}. Mend" in str(failures.verdict)


@pytest.mark.parametrize(("n_workers", "limit"), [(1, CRASHES_IN_A_ROW), (16, 32)])
def test_crashes_in_a_row_are_a_loop_when_no_trial_reports_in_between(n_workers: int, limit: int) -> None:
    failures = _failures(n_workers)
    for k in range(limit - 1):
        failures.crash(f"{k}", KILLED)
    assert failures.verdict is None
    failures.reported()
    for k in range(limit):
        assert failures.verdict is None
        failures.crash(f"{k}", KILLED)
    assert f"most frequent cause ({limit} of {limit}): {KILLED}" in str(failures.verdict)


def test_many_nodes_lost_at_once_are_no_crash_loop() -> None:
    failures = _failures()
    for k in range(10 * CRASHES_IN_A_ROW):
        failures.crash(f"{k}", LOST)
    assert failures.verdict is None


def test_the_searcher_hears_the_cause_and_that_a_killed_worker_hung() -> None:
    failures = _failures()
    failures.crash("a", KILLED)
    failures.hang("b", 60.0)
    failures.crash("b", KILLED)
    assert failures.cause_of("a") == KILLED
    assert failures.cause_of("b") == "hung: no report for 60 s"
    assert failures.cause_of("never heard of").startswith("exception: ")
