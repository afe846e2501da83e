"""What was measured against what was aimed at, as rows of one table; `GOALS` is the one place that holds the goals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from benchmarks.timing import Ratio


@dataclass(frozen=True)
class Goal:
    """A bound a ratio should keep: 'at most' or 'at least' `bound`, or 'within' `bound` of 1."""

    sense: Literal["at most", "at least", "within"]
    bound: float

    def met(self, ratio: Ratio) -> bool:
        """Whether the median keeps the bound."""
        if self.sense == "within":
            return 1 - self.bound <= ratio.median <= 1 + self.bound
        return ratio.median <= self.bound if self.sense == "at most" else ratio.median >= self.bound

    def __str__(self) -> str:
        return f"{self.sense} {self.bound:g}" + (" of 1" if self.sense == "within" else "")


#: What is measured -> its goal; * stands for any words. Of several names that fit, the first one stands, so that the
#: goal of one data set stands before that of all. What fits no name has no goal, whatever was aimed at on its day.
GOALS: Mapping[str, Goal] = {
    "digits_lt: epoch / bare compute*": Goal("at most", 1.15),
    "*: epoch / bare compute*": Goal("at most", 1.05),
    "digits_lt: cached-teacher epoch / student-only epoch": Goal("at most", 1.10),
    "*: cached-teacher epoch / student-only epoch": Goal("at most", 1.05),
    "driver, processor time of a trial: the last * of * / the first *": Goal("at most", 1.5),
    "driver, milliseconds of a trial beside the sampler at * trials": Goal("at most", 50.0),
    "*: command to --help, s": Goal("at most", 0.5),
    "*: command to --dry-run, s": Goal("at most", 1.5),
    "*: command to study.status, s": Goal("at most", 0.5),
    "*: command to first step, s": Goal("at most", 8.0),
    "fashion_mnist_lt: search wall / bare compute": Goal("at most", 1.10),
    "digits_lt: search wall / bare compute": Goal("at most", 1.35),
    "*: slots busy until the last trial is handed out": Goal("at least", 0.95),
    "*: teacher passes / (training x views + val), two studies": Goal("at most", 1.0),
    "*: memory of 3 more trials / (runtime + student) x 3": Goal("at most", 1.0),
    "* trials of * s on * slots: wall / ideal": Goal("at most", 1.15),
    "a later phase: seconds to its first step": Goal("at most", 1.0),
    "report of 500 trials, seconds": Goal("at most", 15.0),
    "report of 500 trials, GB": Goal("at most", 2.0),
    "report of 500 trials, page, MB": Goal("at most", 4.0),
    "*: study against peer script, * trials of * epochs, times faster": Goal("at least", 10.0),
    "*: study against careful Optuna, * trials of * epochs, times faster": Goal("at least", 3.0),
    "*: study against plain Optuna, * trials of * epochs, times faster": Goal("at least", 1.0),
    "*: streamed / bare decoder, images a second": Goal("at least", 0.95),
    "*: a student of 2 ms per image is busy, share of an epoch": Goal("at least", 0.95),
    "originals / image store, processor time of streaming": Goal("at least", 1.0),
    "peak memory of a trial and its workers, GB": Goal("at most", 3.0),
    "imagenet_lt x 1: features to first trial, two kills, min": Goal("at most", 15.0),
    "*: drivers killed in the fit": Goal("at least", 2.0),
    "*: memory of all processes, GB": Goal("at most", 8.0),
    "*: the fit, from the command on and with kills / --dry-run": Goal("at most", 1.0),
    "*: D_val loss / *": Goal("at most", 1.01),
    "*: balanced accuracy lost against *, points": Goal("at most", 0.3),
    "time taken / --max-hours, slowed after * s": Goal("within", 0.05),
    "best1's confirmed seeds / asked for": Goal("at least", 1.0),
    "*: faults and processes left behind": Goal("at most", 0.0),
    "after a kill of the driver: first step, s": Goal("at most", 30.0),
}


def goal_of(what: str) -> Goal | None:
    """Return the goal that a measurement of this name has today; None where it has none."""
    return next((goal for name, goal in GOALS.items() if fnmatchcase(what, name)), None)


@dataclass(frozen=True)
class Row:
    """One measured ratio; `judged` is False where the run was too short to hold it against its goal, if it has one."""

    what: str
    ratio: Ratio
    judged: bool = True

    @property
    def goal(self) -> Goal | None:
        """What GOALS has under its name."""
        return goal_of(self.what)

    @property
    def bound(self) -> str:
        """The goal in words; '-' without one."""
        return str(self.goal or "-")

    @property
    def verdict(self) -> str:
        """'met', 'not met', or 'too short to judge'; '-' without a goal."""
        if self.goal is None:
            return "-"
        if not self.judged:
            return "too short to judge"
        return "met" if self.goal.met(self.ratio) else "not met"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table: what, goal, median (least to largest), verdict."""
    lines = ["| what | goal | measured | |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.bound} | {row.ratio} | {row.verdict} |" for row in rows]
    return "\n".join(lines)
