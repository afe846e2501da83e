"""What has gone wrong in a phase, and when to stop: within its limits a trial is tried again, a crash loop is not.

How often a trial has failed is kept in study.db, over all drivers; what is here is one driver's and begins anew with
it, for a user who resumes a study has mended something.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from study.execution.failure_causes import Kind, cause, kind_of, may_retry

#: Attempts that may crash one after the other, no trial reporting an epoch in between, before that is a crash loop.
#: A lost node does not count: many go at once where they are cheap.
CRASHES_IN_A_ROW = 6


class Failures:
    """The failures of one driver's walk through the study.

    Args:
        max_retries: times a trial is tried again.
        max_failures: trials and later runs that may fail for good.
        n_workers: concurrent trials; they all crash at once where the machine or the code is at fault.
        causes: of the failures for good that study.db holds already.

    Attributes:
        before_results: called before a result counts; raises what would make every result void.
        fault: the first error of our own that Ray was told with (`noting_faults`); it is no trial's.
    """

    def __init__(
        self, *, max_retries: int, max_failures: int, n_workers: int = 1, causes: Iterable[str | None] = ()
    ) -> None:
        self._max_retries, self._max_failures = max_retries, max_failures
        self._most_in_a_row = max(CRASHES_IN_A_ROW, 2 * n_workers)
        self._in_a_row = 0
        self._for_good = Counter(told or "no cause noted" for told in causes)
        self._crashes: Counter[str] = Counter()
        self._heard: dict[str, str] = {}
        self._hung: dict[str, str] = {}
        self.before_results: Callable[[], None] = lambda: None
        self.fault: Exception | None = None

    def reported(self) -> None:
        """A trial has reported an epoch: no crash loop.

        Raises:
            Exception: what `before_results` does.
        """
        self.before_results()
        self._in_a_row = 0
        self._crashes.clear()

    def hang(self, trial_id: str, silent_s: float) -> None:
        """Note that Ray trial `trial_id` is about to be killed for its silence."""
        self._hung[trial_id] = cause(Kind.HUNG, f"no report for {silent_s:g} s")

    def crash(self, trial_id: str, told: str) -> None:
        """Note the crash of Ray trial `trial_id`, before the searcher asks what to do about it."""
        told = self._heard[trial_id] = self._hung.pop(trial_id, told)
        if kind_of(told) is not Kind.LOST_NODE:
            self._in_a_row += 1
            self._crashes[told] += 1

    def cause_of(self, trial_id: str) -> str:
        """Return why Ray trial `trial_id` crashed."""
        return self._heard.pop(trial_id, cause(Kind.EXCEPTION, "Ray gave the trial up without a cause"))

    def may_retry(self, told: str, n_failures: int) -> bool:
        """Tell whether a trial that failed `n_failures` times, now of `told`, is to be tried again."""
        return may_retry(told, n_failures=n_failures, max_retries=self._max_retries)

    def fail(self, told: str) -> None:
        """Note a failure for good."""
        self._for_good[told] += 1

    @property
    def verdict(self) -> str | None:
        """Why no more trials are to be started, with the most frequent cause; None while there is no reason."""
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


class _Adapter(Protocol):
    _failures: Failures


A = TypeVar("A", bound=_Adapter)
P = ParamSpec("P")
R = TypeVar("R")


def noting_faults(callback: Callable[Concatenate[A, P], R]) -> Callable[Concatenate[A, P], R]:
    """Make a callback of Ray's keep what it raises with the failures: a full disk, a database that is not intact.

    Ray takes what a callback raises for its trial's failure and goes on with the others, or wraps its traceback up in
    an error of its own. Whoever runs the phase raises the `fault` itself.
    """

    @wraps(callback)
    def run(self: A, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return callback(self, *args, **kwargs)
        except Exception as error:
            self._failures.fault = self._failures.fault or error
            raise

    return run


def _commonest(causes: Counter[str]) -> str:
    told, n = causes.most_common(1)[0]
    return f"most frequent cause ({n} of {causes.total()}): {told}"
