"""The attempts that run now: the one object that a course's scheduler, searchers, and hang watchdog share.

Ray reports one crash in two calls. The scheduler's `on_trial_error` comes first and can read the cause. The searcher's
`on_trial_complete(error=True)` comes second, without a cause. The attempt carries the cause from one call to the other.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from study.execution.failure_budget import FailureBudget
from study.execution.failure_causes import Kind, cause


@dataclass
class Attempt:
    """One attempt at a run.

    Attributes:
        run: what is trained: a trial of the search, or a rerun.
        continues: whether its first report repeats epochs of an earlier attempt.
        cause: why the attempt crashed; None for an attempt that has not crashed.
    """

    run: Any
    continues: bool = False
    cause: str | None = None


class AttemptLog:
    """The attempts of one course, by the ID of their Ray trial.

    Args:
        budget: counts crashes and failures of the whole study.
        before_result: called before a result is recorded. It raises an error if no result of this course can be used.
        on_epochs: called with the number of epochs that a report adds.

    Attributes:
        fault: the first error of our own code in one of Ray's callbacks. It is not the failure of a trial.
    """

    def __init__(
        self,
        budget: FailureBudget,
        before_result: Callable[[], None] = lambda: None,
        on_epochs: Callable[[int], None] = lambda n: None,
    ) -> None:
        self.budget = budget
        self.fault: Exception | None = None
        self._before_result, self._on_epochs = before_result, on_epochs
        self._running: dict[str, Attempt] = {}

    @property
    def n_running(self) -> int:
        """Attempts that have begun and not ended."""
        return len(self._running)

    def begin(self, trial_id: str, run: Any, *, continues: bool = False) -> None:
        """Begin an attempt at `run` as Ray trial `trial_id`."""
        self._running[trial_id] = Attempt(run, continues)

    def end(self, trial_id: str) -> Attempt | None:
        """Return the attempt of Ray trial `trial_id` and forget it; None if there is none, or it has ended already."""
        return self._running.pop(trial_id, None)

    def running(self, trial_id: str) -> Attempt | None:
        """Return the attempt of Ray trial `trial_id`; None if there is none, or it has ended."""
        return self._running.get(trial_id)

    def report(self, attempt: Attempt | None, n_epochs: int) -> None:
        """Note that `attempt` has reported `n_epochs` epochs, or an end without one.

        Raises:
            Exception: the error of `before_result`.
        """
        with self.keeping_fault():
            self._before_result()
        self.budget.note_progress()
        if attempt is not None and attempt.continues:
            attempt.continues, n_epochs = False, min(1, n_epochs)
        self._on_epochs(n_epochs)

    def hang(self, trial_id: str, silent_s: float) -> None:
        """Note that the worker of Ray trial `trial_id` is killed because it was silent for `silent_s` seconds."""
        if attempt := self._running.get(trial_id):
            attempt.cause = cause(Kind.HUNG, f"no report for {silent_s:g} s")

    def crash(self, trial_id: str, why: str) -> None:
        """Note that Ray trial `trial_id` has crashed because of `why`; a worker killed for its silence has hung."""
        attempt = self._running.get(trial_id, Attempt(None))
        attempt.cause = attempt.cause or why
        self.budget.note_crash(attempt.cause)

    def raise_fault(self) -> None:
        """Raise `fault`, if there is one, in place of the error that Ray makes of it."""
        if self.fault is not None:
            raise self.fault

    @contextmanager
    def keeping_fault(self) -> Iterator[None]:
        """Keep the error that the block raises as `fault`: a full disk, a damaged database.

        Ray takes an error in a callback for a failure of the trial and goes on with the other trials, or it hides the
        traceback in an error of its own. `run_trials` raises `fault` itself.
        """
        try:
            yield
        except Exception as error:
            self.fault = self.fault or error
            raise
