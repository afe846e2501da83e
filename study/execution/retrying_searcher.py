"""A Searcher that tries crashed runs again itself, so that Ray need not.

Ray is told to give every crashed trial up at once; what it then gives up comes back here and is handed out as a new
Ray trial, under its own number and with a new attempt, as a driver that resumes a study would do. So there is one way
to go on after a death, and the limit on retries is kept where the trials are: Ray's own count ends with its driver,
and a worker that dies while it is handed its next trial counts twice with it.
"""

from abc import abstractmethod
from typing import Any, Generic, TypeVar

from ray.tune.search import Searcher

from study.execution.failure_budget import Failures, noting_faults

Run = TypeVar("Run")


class RetryingSearcher(Searcher, Generic[Run]):
    """Hands out runs until none is left or too many have failed; `failures` is shared with the phase's scheduler."""

    def __init__(self, failures: Failures) -> None:
        super().__init__(metric=None, mode=None)
        self._failures = failures
        self._running: dict[str, Run] = {}
        self._again: list[Run] = []

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next run's Ray configuration; None while one that runs may come back; at the end FINISHED."""
        if self._failures.verdict:
            return Searcher.FINISHED
        run = self._again.pop(0) if self._again else self._next()
        if run is not None:
            self._running[trial_id] = run
            return self._started(run)
        return None if self._running else Searcher.FINISHED

    @noting_faults
    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """File how a run ended, once.

        Without a result and without an error Ray took a run back that it had not begun; it stays to be done.
        """
        run = self._running.pop(trial_id, None)
        if run is None:
            return
        if error:
            self._crashed(run, self._failures.cause_of(trial_id))
        elif result is not None:
            self._failures.reported()
            if result["cause"]:
                self._fail(run, result["cause"], result)
            else:
                self._finish(run, result)

    def save(self, checkpoint_path: str) -> None:
        """Ray asks for this; what there is to save lies in study.db."""

    def restore(self, checkpoint_path: str) -> None:
        """Ray asks for this; what there is to restore lies in study.db."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher into tuner.pkl, which nothing ever reads back; handles cannot be pickled.
        return {}

    def _crashed(self, run: Run, told: str) -> None:
        if self._failures.may_retry(told, self._count_failure(run, told)):
            self._again.append(run)
        else:
            self._fail(run, told)

    def _fail(self, run: Run, told: str, result: dict[str, Any] | None = None) -> None:
        self._failures.fail(told)
        self._give_up(run, told, result)

    @abstractmethod
    def _next(self) -> Run | None:
        """Return a run that was not handed out before, None where there is none."""

    @abstractmethod
    def _started(self, run: Run) -> dict[str, Any]:
        """Count a start of `run` and return its Ray configuration."""

    @abstractmethod
    def _count_failure(self, run: Run, told: str) -> int:
        """Count a crash of `run` and return how many it had."""

    @abstractmethod
    def _give_up(self, run: Run, told: str, result: dict[str, Any] | None) -> None:
        """File that `run` has failed for good, and its last result where it has one."""

    @abstractmethod
    def _finish(self, run: Run, result: dict[str, Any]) -> None:
        """File the last result of `run`."""
