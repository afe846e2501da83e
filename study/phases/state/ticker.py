"""What a phase shows and writes while Ray runs it: the progress line, the tables, the time left."""

import time
from collections.abc import Callable

from study import schema
from study.execution.workers import load
from study.phases.state.study_in_progress import Study
from study.planning.manifest import now
from study.terminal.pace import Silence

#: Seconds between two reads of the ledger for the progress line.
_TICK_S = 1.0
#: The tables are written at most once in so many seconds, and for no more than 1/20 of the time.
_TABLES_EVERY_S = 5.0


class Ticker:
    """Refreshes the progress line and the tables of a phase; called on every turn of Ray's loop.

    Args:
        study: the study.
        n_done: returns the number of finished runs of the phase.
        seconds_left: returns the time left when so many are finished; None while it is not known.
        note: returns the text behind that number, which says the time left.
        all_phases: whether that is the time of all phases to come too.
    """

    def __init__(
        self,
        study: Study,
        *,
        n_done: Callable[[], int],
        seconds_left: Callable[[int], float | None],
        note: Callable[[float | None], str],
        all_phases: bool = False,
    ) -> None:
        self._study, self._n_done, self._seconds_left, self._note = study, n_done, seconds_left, note
        self._all_phases = all_phases
        self._n_written, self._n_epochs = n_done(), study.pace.done
        plan = study.checked.plan
        self._silence = Silence(study.progress.say, "no trial has reported an epoch", lambda: load(plan))
        self._next_tick = self._next_tables = 0.0

    def __call__(self) -> None:
        """Refresh what is due."""
        if time.monotonic() < self._next_tick:
            return
        if self._study.pace.done != self._n_epochs:
            self._n_epochs = self._study.pace.done
            self._silence.end()
        self._silence()
        n_done = self._n_done()
        left_s = self._seconds_left(n_done)
        self._study.progress.update(n_done, self._note(left_s))
        if n_done != self._n_written and time.monotonic() >= self._next_tables:
            start = time.monotonic()
            self._study.export()
            if left_s is not None:
                told = {"seconds": round(left_s, 1), "at": now(), "all_phases": self._all_phases}
                self._study.store.update_manifest(**{schema.LEFT: told})
            self._n_written = n_done
            self._next_tables = time.monotonic() + max(_TABLES_EVERY_S, 20 * (time.monotonic() - start))
        self._next_tick = time.monotonic() + _TICK_S
