"""When a study stops starting trials: too many budget for good, or nothing but crashes."""

import pytest

from study.execution.failure_budget import CRASHES_IN_A_ROW, FailureBudget

KILLED, LOST = "worker killed: its process died", "lost node: gone"


def _budget(n_workers: int = 1, max_failures: int = 3, causes: tuple[str, ...] = ()) -> FailureBudget:
    return FailureBudget(max_retries=2, max_failures=max_failures, n_workers=n_workers, causes=causes)


@pytest.mark.parametrize("max_failures", [0, 3])
def test_as_many_runs_may_fail_as_were_allowed_those_of_earlier_drivers_included(max_failures: int) -> None:
    budget = _budget(max_failures=max_failures, causes=("bad configuration: no",) * max_failures)
    assert budget.verdict is None
    budget.note_failure("non-finite loss: it")
    assert f"{max_failures + 1} runs failed and --max-failures allows {max_failures}" in str(budget.verdict)
    commonest = "bad configuration: no" if max_failures else "non-finite loss: it"
    assert f"of {max_failures + 1}): {commonest}. Mend" in str(budget.verdict)


@pytest.mark.parametrize(("n_workers", "limit"), [(1, CRASHES_IN_A_ROW), (16, 32)])
def test_crashes_in_a_row_are_a_loop_when_no_trial_reports_in_between(n_workers: int, limit: int) -> None:
    budget = _budget(n_workers)
    for _ in range(limit - 1):
        budget.note_crash(KILLED)
    assert budget.verdict is None
    budget.note_progress()
    for _ in range(limit):
        assert budget.verdict is None
        budget.note_crash(KILLED)
    assert f"most frequent cause ({limit} of {limit}): {KILLED}" in str(budget.verdict)


def test_many_nodes_lost_at_once_are_no_crash_loop() -> None:
    budget = _budget()
    for _ in range(10 * CRASHES_IN_A_ROW):
        budget.note_crash(LOST)
    assert budget.verdict is None


def test_a_damaged_image_comes_before_every_other_reason() -> None:
    budget = _budget(max_failures=0)
    budget.note_failure("non-finite loss: it")
    budget.damage = "damaged image: 3.png is torn"
    assert budget.verdict == "damaged image: 3.png is torn"
