"""What was measured against what was aimed at, as rows of one table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.timing import Ratio


@dataclass(frozen=True)
class Goal:
    """A bound a ratio should keep: 'at most' or 'at least' `bound`."""

    sense: Literal["at most", "at least"]
    bound: float

    def met(self, ratio: Ratio) -> bool:
        """Whether the median keeps the bound."""
        return ratio.median <= self.bound if self.sense == "at most" else ratio.median >= self.bound


@dataclass(frozen=True)
class Row:
    """One measured ratio; `judged` is False where the run was too short to hold it against its goal, if it has one."""

    what: str
    goal: Goal | None
    ratio: Ratio
    judged: bool = True

    @property
    def bound(self) -> str:
        """The goal in words; '-' without one."""
        return "-" if self.goal is None else f"{self.goal.sense} {self.goal.bound:g}"

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
