"""How fast a study goes, by the wall clock; what still fits into its time; what it says when it stands still.

The seconds that trials note for their epochs leave out the start of workers, and how many trials really run at once.
What the clock shows holds on a shared machine too, and on a cluster whose nodes come and go.
"""

import time
from collections import deque
from collections.abc import Callable

from study.terminal.progress import duration

#: Seconds over which the speed is measured, and over which at least it must be.
_WINDOW_S, _LEAST_S = 300.0, 10.0
#: Seconds without progress after which a study says so, then after twice as many, and so on.
_SILENCE_S = 60.0


class Pace:
    """Units of work done per second, over the last minutes.

    Attributes:
        done: units so far.
    """

    def __init__(self) -> None:
        self.done = 0
        self._marks: deque[tuple[float, int]] = deque()

    def note(self, n: int) -> None:
        """Note that `n` more units are done."""
        self.done += n
        now = time.monotonic()
        self._marks.append((now, self.done))
        while len(self._marks) > 2 and self._marks[1][0] <= now - _WINDOW_S:
            self._marks.popleft()

    def seconds_for(self, n: float) -> float | None:
        """Return how long `n` units take at this speed; None while it is not known."""
        if not self._marks:
            return None
        since, before = self._marks[0]
        elapsed = time.monotonic() - since
        if elapsed < _LEAST_S or self.done == before:
            return None
        return n * elapsed / (self.done - before)


class TimeBudget:
    """The time that a command may take, from the moment at which this is made.

    Args:
        hours: None for no limit.
    """

    def __init__(self, hours: float | None) -> None:
        self._end = None if hours is None else time.monotonic() + 3600 * hours

    def fits(self, seconds: float | None) -> bool:
        """Return whether work of so many seconds would end in time; if None, whether there is any time left."""
        return self._end is None or time.monotonic() + (seconds or 0.0) <= self._end


class Silence:
    """Says that nothing has happened for one minute, for two, for four, and so on.

    Args:
        say: prints a line.
        what: what has not happened.
        why: returns what may be the reason.
    """

    def __init__(self, say: Callable[[str], None], what: str, why: Callable[[], str]) -> None:
        self._say, self._what, self._why = say, what, why
        self.end()

    def end(self, least_s: float = _SILENCE_S) -> None:
        """Note that it has happened, and that `least_s` without it are nothing to speak of, if these are more."""
        self._since, self._next_s = time.monotonic(), max(_SILENCE_S, least_s)

    def __call__(self) -> None:
        """Say so if it is due; called every few seconds."""
        silent_s = time.monotonic() - self._since
        if silent_s >= self._next_s:
            self._next_s *= 2
            self._say(f"NOTE     {self._what} for {duration(silent_s)}; {self._why()}")
