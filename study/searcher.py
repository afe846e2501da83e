"""Ray asks the ledger: a Ray Searcher that hands out the ledger's trials and files how they ended.

The calls Ray makes (tune_controller.py, Ray 2.60): a result that is not the last goes to the scheduler and
then to `on_trial_result` here; the last one, and one the scheduler stops at, comes only with
`on_trial_complete`. A crash that Ray retries is not told here at all. A crash it gives up is told as
`on_trial_complete(error=True)` without a cause; the scheduler hears of it just before and leaves the cause
with the ledger.
"""

from collections.abc import Mapping
from typing import Any

from ray.tune.search import Searcher

from study.ledger import Ledger, SeedOf, Suggestion


class LedgerSearcher(Searcher):
    """Hands Ray the trials a killed driver left, then new ones, until the total of the settings is reached.

    Args:
        ledger: the search.
        seed_of: seed of a new trial.
        settings: training settings all trials share, added to each configuration.
        extras: further entries of each Ray configuration (folders, ...).
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        seed_of: SeedOf,
        settings: Mapping[str, Any] | None = None,
        extras: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(metric=None, mode=None)
        self._ledger, self._seed_of = ledger, seed_of
        self._settings, self._extras = dict(settings or {}), dict(extras or {})
        self._left = list(reversed(ledger.unfinished()))
        self._running: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Return the next trial's Ray configuration (number, attempt, config, extras), or FINISHED."""
        suggestion = self._next()
        if suggestion is None:
            return Searcher.FINISHED
        self._running[trial_id] = suggestion.number
        config = self._ledger.space.config(suggestion.params) | self._settings | {"seed": suggestion.seed}
        attempt = self._ledger.start_attempt(suggestion.number)
        return {**self._extras, "number": suggestion.number, "attempt": attempt, "config": config}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """File the end of a trial, once.

        Without a result and without an error Ray took a trial back that it had not begun: it stays RUNNING in
        the ledger, and the next driver continues it.
        """
        number = self._running.pop(trial_id, None)
        if number is None:
            return
        if error:
            self._ledger.fail(number, self._ledger.last_error(number) or "Ray gave the trial up without a cause")
        elif result is not None:
            self._ledger.record(number, result["records"])
            if result["cause"]:
                self._ledger.fail(number, result["cause"])
            else:
                self._ledger.complete(number)  # changes nothing where the scheduler has filed it PRUNED

    def save(self, checkpoint_path: str) -> None:
        """Ray asks for this; what there is to save lies in study.db."""

    def restore(self, checkpoint_path: str) -> None:
        """Ray asks for this; what there is to restore lies in study.db."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher into tuner.pkl, which nothing ever reads back; handles cannot be pickled.
        return {}

    def _next(self) -> Suggestion | None:
        if self._left:
            return self._left.pop()
        if self._ledger.n_asked < self._ledger.settings.trials:
            return self._ledger.ask(self._seed_of)
        return None
