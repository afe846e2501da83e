"""What is lost between two trials, and between two phases?

    python -m benchmarks.turnover

Trials of one second that train nothing, on two slots, through Ray with our searcher, scheduler, ledger and ticker.
The ideal wall is the sum of their seconds divided by the slots. The measured one includes starting and stopping the
workers. Where a second goes is told from what the trials note themselves: when each began and ended. The second half of
the trials is a phase of its own.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from ray.tune import Trainable

from benchmarks.goals import Row, table
from benchmarks.idle_study import idle_study
from benchmarks.timing import Ratio
from study.execution.attempts import AttemptLog
from study.execution.course import Course, Phase
from study.execution.searchers import LedgerSearcher
from study.execution.tuner import run_trials
from study.execution.workers import ray_session
from study.phases.state.ticker import Ticker
from study.strategy.search_settings import SearchSettings


class Sleeping(Trainable):
    """A trial of `context` seconds; its one epoch notes when it began and ended."""

    def setup(self, config: dict[str, Any], context: float) -> None:
        """Begin the first trial."""
        self._seconds = context

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another one."""
        return True

    def step(self) -> dict[str, Any]:
        """Sleep, and tell of one epoch."""
        began = time.time()
        time.sleep(self._seconds)
        val = {"correct": [5] * 10, "seen": [10] * 10}
        losses = {"total": 1.0, "began": began, "ended": time.time()}
        record = {"epoch": 1, "losses": losses, "lr": 0.1, "val": val, "train_s": self._seconds, "eval_s": 0.0}
        return {"records": [record], "done": True, "cause": None}


@dataclass(frozen=True)
class Turnover:
    """How a queue of equal trials ran.

    Attributes:
        wall_s: from handing the queue to Ray until it came back.
        start_s: of that, until the first trial began.
        end_s: of that, from the end of the last trial on.
        gaps_s: between the end of one trial and the beginning of the next in the same slot, all of them.
        phase_s: between the end of the first phase's last trial and the beginning of the second phase's first one.
        slots, seconds: as asked for.
    """

    wall_s: float
    start_s: float
    end_s: float
    gaps_s: list[float]
    phase_s: float
    slots: int
    seconds: float

    @property
    def ideal_s(self) -> float:
        """The sum of the trials' seconds, divided by the slots."""
        return (len(self.gaps_s) + self.slots) * self.seconds / self.slots


def measure(folder: Path, *, trials: int = 200, slots: int = 2, seconds: float = 1.0) -> Turnover:
    """Run `trials` trials of `seconds` on `slots` slots, the study kept in `folder`; starts and stops a private Ray."""
    settings = SearchSettings("random", "none", trials, 0, 0, 1, (1,))
    study = idle_study(folder, "turnover", settings, "--max-concurrent", str(slots))
    plan, ledger = study.checked.plan, study.ledger
    with ray_session(plan) as workers:
        assert workers.n_workers == slots, workers
        tick = Ticker(study, n_done=lambda: ledger.finished_total, seconds_left=lambda n: None, note=lambda left_s: "")
        began = time.time()
        attempts = AttemptLog(study.budget)

        def phase(last: int) -> Phase:
            searcher = LedgerSearcher(
                ledger,
                attempts,
                seed_of=lambda config, replicate: 1 + replicate,
                is_settled=lambda: ledger.n_asked >= last,
            )
            return Phase(searcher, tick)

        # The second phase is made when the first one has ended, as a study does it.
        course = Course(phase(trials // 2), map(phase, [trials]), attempts, study.ray_folder("search"))
        run_trials(plan, workers, Sleeping, seconds, course)
        ended = time.time()
    spans = sorted((row.records[0].losses["began"], row.records[0].losses["ended"]) for row in ledger.rows())
    assert len(spans) == trials
    ledger.close()
    gaps, free = [], [span[1] for span in spans[:slots]]
    for span in spans[slots:]:
        gaps.append(span[0] - min(free))  # it took the slot that was free first
        free[free.index(min(free))] = span[1]
    first_phase_ended = max(ended_at for _, ended_at in spans[: trials // 2])
    phase_s = spans[trials // 2][0] - first_phase_ended
    return Turnover(ended - began, spans[0][0] - began, ended - max(free), gaps, phase_s, slots, seconds)


def rows(found: Turnover) -> list[Row]:
    """The ratios that have a goal."""
    n = len(found.gaps_s) + found.slots
    what = f"{n} trials of {found.seconds:g} s on {found.slots} slots: wall / ideal"
    return [
        Row(what, Ratio.of([found.wall_s], [found.ideal_s]), judged=n >= 200),
        Row("a later phase: seconds to its first step", Ratio.of([found.phase_s], [1.0])),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turnover", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=200, metavar="N", help="default: %(default)s")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), trials=args.trials)
    print(table(rows(found)))
    gaps = sorted(found.gaps_s)
    print(
        f"{found.start_s:.1f} s before the first trial, {found.end_s:.1f} s after the last; between trials "
        f"{1000 * mean(gaps):.0f} ms on average, half of them below {1000 * gaps[len(gaps) // 2]:.0f} ms"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
