"""What happens on every turn of Ray's loop: progress line and tables, thinned so that neither costs anything."""

import time
from collections.abc import Callable

from study.phases.phase import Study

#: Seconds between two looks at the ledger for the progress line.
_TICK_S = 1.0
#: Tables are written again at most every so many seconds, and for no more than 1/20 of the time.
_TABLES_EVERY_S = 5.0


class Ticker:
    """Keeps what a user sees of a phase current.

    Args:
        study: whose progress line and tables.
        n_done: how many of the phase's runs are finished.
        note: what to say beside that number.
    """

    def __init__(self, study: Study, *, n_done: Callable[[], int], note: Callable[[int], str]) -> None:
        self._study, self._n_done, self._note = study, n_done, note
        self._n_written = n_done()
        self._next_tick = self._next_tables = 0.0

    def __call__(self) -> None:
        """Refresh what is due."""
        if time.monotonic() < self._next_tick:
            return
        n_done = self._n_done()
        self._study.progress.update(n_done, self._note(n_done))
        if n_done != self._n_written and time.monotonic() >= self._next_tables:
            start = time.monotonic()
            self._study.export()
            self._n_written = n_done
            self._next_tables = time.monotonic() + max(_TABLES_EVERY_S, 20 * (time.monotonic() - start))
        self._next_tick = time.monotonic() + _TICK_S
