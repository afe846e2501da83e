"""The searchers of a phase: they hand out its runs, judge results, try crashed runs again, and record their ends.

Ray asks the searcher and the scheduler of the course (course.py), and both ask the searcher of the present phase.

Ray is told to give up every crashed trial at once. The searcher hands the run out again as a new Ray trial, with its
own number and a new attempt, exactly as a driver that resumes a study does. So there is one way to continue after a
death, and study.db holds the number of retries. Ray's own count ends with its driver, and it counts a worker twice
that dies while Ray hands it the next trial.

Ray 2.60 calls in this order (tune_controller.py): a result that is not the last goes to the scheduler. The last result,
and one at which the scheduler stops the trial, come only with `on_trial_complete`. A crash comes as
`on_trial_complete(error=True)` without a cause.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from optuna.trial import TrialState
from ray.tune.search import Searcher

from study.execution.attempts import AttemptLog
from study.execution.failure_causes import Kind, cause, kind_of
from study.records.ledger import Ledger, SeedOf, Suggestion

Run = TypeVar("Run")


class RetryingSearcher(ABC, Generic[Run]):
    """Hands out runs until none is left or too many have failed.

    Args:
        attempts: of the course.
    """

    def __init__(self, attempts: AttemptLog) -> None:
        self.attempts = attempts
        self._again: list[Run] = []

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next run's Ray configuration, or FINISHED; None while a running attempt may crash."""
        if self.attempts.budget.verdict:
            return Searcher.FINISHED
        run = self._again.pop(0) if self._again else self._next()
        if run is not None:
            config = self._started(run)
            self.attempts.begin(trial_id, run, continues=config["attempt"] > 1)
            return config
        return None if self.attempts.n_running else Searcher.FINISHED

    def on_result(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Note that a run makes progress; return whether it shall stop. Its last result comes only with its end."""
        self.attempts.report(self.attempts.running(trial_id), len(result.get("records", ())))
        return False

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record how a run ended, once.

        Without a result and without an error, Ray has taken back a run that had not begun. The run is handed out again.
        """
        with self.attempts.keeping_fault():
            attempt = self.attempts.end(trial_id)
            if attempt is None:
                return
            if error:
                why = attempt.cause or cause(Kind.EXCEPTION, "Ray gave the trial up without a cause")
                if kind_of(why) is Kind.DAMAGED_IMAGE:  # the run stays to be done: it is not at fault
                    self.attempts.budget.damage = self.attempts.budget.damage or why
                elif self.attempts.budget.may_retry(why, self._count_failure(attempt.run, why)):
                    self._again.append(attempt.run)
                else:
                    self._fail(attempt.run, why)
            elif result is not None:
                self.attempts.report(attempt, len(result.get("records", ())))
                if result["cause"]:
                    self._fail(attempt.run, result["cause"], result)
                else:
                    self._finish(attempt.run, result)
            else:
                self._again.append(attempt.run)

    def _fail(self, run: Run, why: str, result: dict[str, Any] | None = None) -> None:
        self.attempts.budget.note_failure(why)
        self._give_up(run, why, result)

    @abstractmethod
    def _next(self) -> Run | None:
        """Return a run that was not handed out before; None if there is none."""

    @abstractmethod
    def _started(self, run: Run) -> dict[str, Any]:
        """Count a start of `run` and return its Ray configuration."""

    @abstractmethod
    def _count_failure(self, run: Run, why: str) -> int:
        """Count a crash of `run` and return its number of crashes."""

    @abstractmethod
    def _give_up(self, run: Run, why: str, result: dict[str, Any] | None) -> None:
        """Record that `run` has failed for good, and its last result if it has one."""

    @abstractmethod
    def _finish(self, run: Run, result: dict[str, Any]) -> None:
        """Record the last result of `run`."""


class LedgerSearcher(RetryingSearcher[Suggestion]):
    """Hands Ray the trials that a killed driver left, then new ones, up to the total in the search's settings.

    It records every result in the ledger and stops the trials that the ledger prunes.

    Args:
        ledger: the search.
        attempts: of the course.
        seed_of: returns the seed of a new trial; called with its whole configuration, not only the searched knobs.
        settings: training settings that all trials share; each configuration contains them.
        extras: further entries of each Ray configuration, such as the folder for checkpoints.
        may_begin: returns whether there is time for one more trial.
        is_settled: returns whether no further trial shall be chosen; those that were begun go on.

    Attributes:
        held_back: whether a trial was left to do and there was no time for it.
    """

    def __init__(
        self,
        ledger: Ledger,
        attempts: AttemptLog,
        *,
        seed_of: SeedOf,
        settings: Mapping[str, Any] | None = None,
        extras: Mapping[str, Any] | None = None,
        may_begin: Callable[[], bool] = lambda: True,
        is_settled: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(attempts)
        self._may_begin, self._is_settled, self.held_back = may_begin, is_settled, False
        self._ledger, self._seed_of = ledger, seed_of
        self._settings, self._extras = dict(settings or {}), dict(extras or {})
        self._left = list(reversed(ledger.unfinished()))

    def on_result(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Record the epochs of `result`; return whether the ledger prunes the trial."""
        with self.attempts.keeping_fault():
            super().on_result(trial_id, result)
            attempt = self.attempts.running(trial_id)
            return attempt is not None and self._ledger.report(attempt.run.number, result["records"])

    def _next(self) -> Suggestion | None:
        if not self._left and (self._ledger.n_asked >= self._ledger.settings.trials or self._is_settled()):
            return None
        if not self._may_begin():
            self.held_back = True
            return None
        if self._left:
            return self._left.pop()
        return self._ledger.ask(lambda params, replicate: self._seed_of(self._config(params), replicate))

    def _started(self, run: Suggestion) -> dict[str, Any]:
        attempt = self._ledger.start_attempt(run.number)
        config = self._config(run.params) | {"seed": run.seed}
        return {**self._extras, "number": run.number, "attempt": attempt, "config": config}

    def _config(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return self._ledger.space.config(params) | self._settings

    def _count_failure(self, run: Suggestion, why: str) -> int:
        return self._ledger.count_failure(run.number, why)

    def _give_up(self, run: Suggestion, why: str, result: dict[str, Any] | None) -> None:
        if result is not None:
            self._ledger.report(run.number, result["records"])
        self._ledger.fail(run.number, why)

    def _finish(self, run: Suggestion, result: dict[str, Any]) -> None:
        # The last report of a continued trial may hold evaluations that no driver has judged yet.
        self._ledger.report(run.number, result["records"])
        # A pruned trial stays PRUNED.
        if self._ledger.complete(run.number) is TrialState.FAIL:
            self.attempts.budget.note_failure(self._ledger.cause(run.number) or "")
