"""Ray asks the ledger: a Ray Searcher that hands out the ledger's trials and files how they ended.

The calls Ray makes (tune_controller.py, Ray 2.60): a result that is not the last goes to the scheduler and
then to `on_trial_result` here; the last one, and one the scheduler stops at, comes only with
`on_trial_complete`. A crash is told as `on_trial_complete(error=True)` without a cause; the scheduler hears of it just
before and leaves the cause with the failures.
"""

from collections.abc import Mapping
from typing import Any

from study.execution.failure_budget import Failures
from study.execution.retrying_searcher import RetryingSearcher
from study.records.ledger import Ledger, SeedOf, Suggestion


class LedgerSearcher(RetryingSearcher[Suggestion]):
    """Hands Ray the trials a killed driver left, then new ones, until the total of the settings is reached.

    Args:
        ledger: the search.
        failures: shared with the LedgerScheduler.
        seed_of: seed of a new trial.
        settings: training settings all trials share, added to each configuration.
        extras: further entries of each Ray configuration (folders, ...).
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        failures: Failures,
        seed_of: SeedOf,
        settings: Mapping[str, Any] | None = None,
        extras: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(failures)
        self._ledger, self._seed_of = ledger, seed_of
        self._settings, self._extras = dict(settings or {}), dict(extras or {})
        self._left = list(reversed(ledger.unfinished()))

    def _next(self) -> Suggestion | None:
        if self._left:
            return self._left.pop()
        if self._ledger.n_asked < self._ledger.settings.trials:
            return self._ledger.ask(self._seed_of)
        return None

    def _started(self, run: Suggestion) -> dict[str, Any]:
        config = self._ledger.space.config(run.params) | self._settings | {"seed": run.seed}
        attempt = self._ledger.start_attempt(run.number)
        return {**self._extras, "number": run.number, "attempt": attempt, "config": config}

    def _count_failure(self, run: Suggestion, told: str) -> int:
        return self._ledger.count_failure(run.number, told)

    def _give_up(self, run: Suggestion, told: str, result: dict[str, Any] | None) -> None:
        if result is not None:
            self._ledger.report(run.number, result["records"])
        self._ledger.fail(run.number, told)

    def _finish(self, run: Suggestion, result: dict[str, Any]) -> None:
        # The last report of a continued trial may hold evaluations that no driver has judged yet.
        self._ledger.report(run.number, result["records"])
        # Changes nothing where it has been filed PRUNED.
        if self._ledger.complete(run.number) == "FAIL":
            self._failures.fail(self._ledger.rows()[run.number].cause or "")
