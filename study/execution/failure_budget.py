"""When a study stops: too many runs failed for good, attempts crash one after the other, or an image is damaged.

study.db counts the failures of each trial over all drivers. The counts here belong to one driver and start at zero with
it, because a user who resumes a study has repaired something.
"""

from collections import Counter
from collections.abc import Iterable

from study.execution.failure_causes import Kind, kind_of, may_retry

#: So many crashes in a row, with no reported epoch between them, are a crash loop. Lost nodes do not count: where nodes
#: are cheap, many of them are lost at once.
CRASHES_IN_A_ROW = 6


class FailureBudget:
    """The failures that one driver has seen, and the limits on them.

    Attributes:
        damage: the cause of the first attempt that met a damaged image file. Every other run would meet the file too.

    Args:
        max_retries: how often a trial is tried again.
        max_failures: how many trials and later runs may fail for good.
        n_workers: concurrent trials. They all crash at once if the machine or the code is at fault.
        causes: causes of the failures for good that study.db holds already.
    """

    def __init__(
        self, *, max_retries: int, max_failures: int, n_workers: int = 1, causes: Iterable[str | None] = ()
    ) -> None:
        self._max_retries, self._max_failures = max_retries, max_failures
        self._most_in_a_row = max(CRASHES_IN_A_ROW, 2 * n_workers)
        self._in_a_row = 0
        self._for_good = Counter(cause or "no cause noted" for cause in causes)
        self._crashes: Counter[str] = Counter()
        self.damage: str | None = None

    def note_progress(self) -> None:
        """A trial has reported an epoch, so there is no crash loop."""
        self._in_a_row = 0
        self._crashes.clear()

    def note_crash(self, cause: str) -> None:
        """Count a crash."""
        if kind_of(cause) is not Kind.LOST_NODE:
            self._in_a_row += 1
            self._crashes[cause] += 1

    def note_failure(self, cause: str) -> None:
        """Count a failure for good."""
        self._for_good[cause] += 1

    def may_retry(self, cause: str, n_failures: int) -> bool:
        """Return whether a trial is tried again that failed `n_failures` times, the last time because of `cause`."""
        return may_retry(cause, n_failures=n_failures, max_retries=self._max_retries)

    @property
    def verdict(self) -> str | None:
        """Why no more trials may start, with the most frequent cause; None while trials may start."""
        if self.damage:
            return self.damage
        n_failed = self._for_good.total()
        if n_failed > self._max_failures:
            return (
                f"{n_failed} runs failed and --max-failures allows {self._max_failures}; {_commonest(self._for_good)}. "
                "Mend that, or raise --max-failures, then continue the study"
            )
        if self._in_a_row >= self._most_in_a_row:
            return (
                f"{self._in_a_row} attempts crashed one after the other and none reported an epoch in between; "
                f"{_commonest(self._crashes)}. Mend that, then continue the study"
            )
        return None


def _commonest(causes: Counter[str]) -> str:
    cause, n = causes.most_common(1)[0]
    return f"most frequent cause ({n} of {causes.total()}): {cause}"
