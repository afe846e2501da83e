"""A course of two phases of reruns, for tests of what happens between them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from study.execution.attempts import AttemptLog
from study.execution.course import Course, CourseSearcher, Phase
from study.execution.failure_budget import FailureBudget
from study.phases.reruns import Rerun, RerunSearcher
from study.records.ledger import Ledger


def runs(entry: str, n_runs: int) -> list[Rerun]:
    """Reruns of one entry on the seeds 0, 1, ..."""
    return [Rerun(entry, seed, None, {}, export=False) for seed in range(n_runs)]


def phase_of(
    ledger: Ledger, attempts: AttemptLog, runs: Sequence[Rerun], done: Callable[[Rerun, dict[str, Any]], None]
) -> Phase:
    """A phase that trains `runs`; `done` gets each with its result."""
    return Phase(RerunSearcher(runs, ledger, attempts, checkpoints="", on_done=done), lambda: None)


class TwoPhases:
    """Two phases of two runs each; `between` is done after the first one."""

    def __init__(self, ledger: Ledger, between: Callable[[], None] = lambda: None) -> None:
        self.done: list[str] = []
        self.attempts = AttemptLog(FailureBudget(max_retries=1, max_failures=0))
        first, second = (
            phase_of(ledger, self.attempts, runs(entry, 2), lambda run, _: self.done.append(run.name))
            for entry in ("la", "kd")
        )

        def rest() -> Iterator[Phase]:
            self.done.append("between")
            between()
            yield second
            self.done.append("after")

        self.course = Course(first, rest(), self.attempts, ("/tmp", "ray"))

    def end(self, searcher: CourseSearcher, *names: str) -> None:
        """End Ray's trials of these names well."""
        for name in names:
            searcher.on_trial_complete(name, {"records": [], "done": True, "cause": None})
