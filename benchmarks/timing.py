"""Fair timing: contenders take turns, so that whatever else the machine does meets all of them alike."""

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

Seconds = dict[str, list[float]]


@dataclass(frozen=True)
class Ratio:
    """Median, least and largest of the ratios of one turn each."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, above: Sequence[float], below: Sequence[float]) -> Self:
        """Divide turn by turn: both sides of a ratio were measured right after each other.

        Raises:
            ValueError: no turns, or not as many on both sides.
        """
        if not above:
            raise ValueError("a ratio needs at least one turn")
        ratios = sorted(a / b for a, b in zip(above, below, strict=True))
        return cls(median(ratios), ratios[0], ratios[-1])

    @classmethod
    def single(cls, value: float) -> Self:
        """A value that was measured once."""
        return cls(value, value, value)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def take_turns(
    contenders: Mapping[str, Callable[[], object]],
    turns: int,
    *,
    warm_up: int = 2,
    clock: Callable[[], float] = time.process_time,
) -> Seconds:
    """Run every contender once a turn and return its seconds, turn by turn, after `warm_up` unmeasured turns.

    The default clock counts this process's own processor time: for one thread that is the wall time on an idle
    core. Anything that waits (other processes, a GPU) needs `time.perf_counter`.
    """
    seconds: Seconds = {name: [] for name in contenders}
    for turn in range(-warm_up, turns):
        for name, run in contenders.items():
            started = clock()
            run()
            if turn >= 0:
                seconds[name].append(clock() - started)
    return seconds


def family_seconds() -> float:
    """Processor seconds so far of this process and of its children that still live; in ticks of 10 ms for those."""
    ticks = 0
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # of the program, and of the system for it
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def fastest(seconds: Seconds) -> str:
    """The contender with the smallest median."""
    return min(seconds, key=lambda name: median(seconds[name]))
