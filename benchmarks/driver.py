"""What does the driver do for a trial, beside waiting for it, and does that grow with the study?

    python -m benchmarks.driver
    python -m benchmarks.driver --trials 10000
    python -m benchmarks.driver --pruner median

A thousand trials that train nothing go through searcher and ticker in the order Ray calls them: asked, started,
reported at four rungs, ended; the tables are written as a real study writes them. What Optuna does is apart.
The numbers are chosen at random, and what TPE would take instead is timed on copies of the study as it stood. A pruner
judges the trials where one is named: its work grows with the complete trials. A trial of the last hundred over one of
the first, and its milliseconds, have goals (`benchmarks.goals`).
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.goals import Row, table
from benchmarks.idle_study import idle_study
from benchmarks.timing import Ratio
from study.execution.attempts import AttemptLog
from study.execution.searchers import LedgerSearcher
from study.phases.state.study_in_progress import Study
from study.phases.state.ticker import Ticker
from study.records.ledger import Ledger
from study.strategy.pruners import PRUNERS
from study.strategy.search_settings import SearchSettings

EPOCHS, RUNGS = 20, (5, 10, 15, 20)
WINDOW = 100
_N_TPE = 5
_PARTS = ("ask", "report", "end", "tick", "processor")


@dataclass(frozen=True)
class DriverTimes:
    """Seconds of each of the trials, in the order they ran.

    Attributes:
        ask: choosing and filing a trial (random numbers), and counting its start.
        report: filing what it reports, and judging it.
        end: filing its end.
        tick: the progress line, and the tables when they are due.
        processor: processor seconds of all that; unlike the others they do not hang on what else the machine does.
        tpe: (trials so far, median seconds of asking TPE for one more).
        export: (trials so far, seconds of writing the tables once).
        size: (trials so far, MB of study.db with the files beside it).
    """

    ask: list[float]
    report: list[float]
    end: list[float]
    tick: list[float]
    processor: list[float]
    tpe: list[tuple[int, float]]
    export: list[tuple[int, float]]
    size: list[tuple[int, float]]

    @property
    def whole(self) -> list[float]:
        """All of the driver's seconds, trial by trial."""
        return [sum(parts) for parts in zip(self.ask, self.report, self.end, self.tick, strict=True)]


def measure(folder: Path, *, trials: int = 1000, window: int = WINDOW, pruner: str = "none") -> DriverTimes:
    """Run `trials` trials that train nothing, the study kept in `folder`; TPE is asked at three points on the way."""
    study = idle_study(folder, "driver", SearchSettings("random", pruner, trials, 0, 0, EPOCHS, RUNGS))
    attempts = AttemptLog(study.budget)
    searcher = LedgerSearcher(study.ledger, attempts, seed_of=lambda config, replicate: 1 + replicate)
    tick = Ticker(
        study,
        n_done=lambda: study.ledger.finished_total,
        seconds_left=lambda n: study.ledger.mean_duration_s() * (trials - n),
        note=lambda left_s: str(study.ledger.best()),
    )
    times = DriverTimes([], [], [], [], [], [], [], [])
    for number in range(trials):
        start = time.process_time()
        _run_trial(str(number), searcher, tick, times)
        times.processor.append(time.process_time() - start)
        if (number + 1) in (window, trials // 2, trials):
            times.tpe.append((number + 1, _tpe_s(study, folder / "tpe")))
            times.export.append((number + 1, _timed(study.export)[1]))
            stored = sum(file.stat().st_size for file in study.store.path.glob("study.db*"))
            times.size.append((number + 1, stored / 1e6))
    assert study.ledger.finished_total == trials
    study.ledger.close()
    return times


def rows(times: DriverTimes, window: int = WINDOW) -> list[Row]:
    """The last trials over the first, and the milliseconds of one of the last, as medians.

    The tables, which few trials wait for, are bounded elsewhere: a twentieth of a study's time (`Ticker`).
    """
    whole, processor, n = times.whole, times.processor, len(times.whole)
    last = sorted(1000 * taken for taken in whole[-window:])
    return [
        Row(
            f"driver, processor time of a trial: the last {window} of {n} / the first {window}",
            Ratio.of([median(processor[-window:])], [median(processor[:window])]),
        ),
        Row(
            f"driver, milliseconds of a trial beside the sampler at {n} trials",
            Ratio(median(last), last[0], last[-1]),
        ),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.driver", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=1000, metavar="N", help="default: %(default)s")
    parser.add_argument("--pruner", choices=tuple(PRUNERS), default="none", help="default: %(default)s")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        times = measure(Path(folder), trials=args.trials, pruner=args.pruner)
    print(table(rows(times)))
    middle = args.trials // 2
    for first in (0, middle - WINDOW, args.trials - WINDOW):
        parts = {part: getattr(times, part)[first : first + WINDOW] for part in _PARTS}
        spelled = ", ".join(f"{part} {1000 * mean(taken):.1f}" for part, taken in parts.items())
        print(f"trials {first + 1} to {first + WINDOW}: {spelled} ms a trial")
    for n, taken in times.tpe:
        print(f"asking TPE after {n} trials: {1000 * taken:.0f} ms")
    for n, taken in times.export:
        print(f"writing the tables of {n} trials: {1000 * taken:.0f} ms")
    for n, megabytes in times.size:
        print(f"study.db of {n} trials: {megabytes:.1f} MB, {1000 * megabytes / n:.1f} kB a trial")
    return 0


def _run_trial(name: str, searcher: LedgerSearcher, tick: Callable[[], None], times: DriverTimes) -> None:
    config, asked = _timed(searcher.suggest, name)
    assert isinstance(config, dict)
    reported = ended = 0.0
    for rung in RUNGS:
        result = {"records": [_record(epoch, config["number"]) for epoch in range(rung - 4, rung + 1)], "cause": None}
        stops = True
        if rung < EPOCHS:
            stops, taken = _timed(searcher.on_result, name, result)
            reported += taken
        if stops:
            ended = _timed(searcher.on_trial_complete, name, result)[1]
            break
    times.ask.append(asked)
    times.report.append(reported)
    times.end.append(ended)
    times.tick.append(_timed(tick)[1])


def _record(epoch: int, number: int) -> Mapping[str, Any]:
    """An epoch's record; later trials are a little better, so that none is pruned and the work stays the same."""
    right = 10 + min(number // 40, 30)
    losses = dict.fromkeys(("total", "sup", "cckd", "sup_mix", "cckd_mix", "imitation"), 1.0 / epoch)
    val = {"correct": [right] * 10, "seen": [40] * 10} if epoch in RUNGS else None
    return {"epoch": epoch, "losses": losses, "lr": 0.1, "val": val, "train_s": 0.1, "eval_s": 0.01}


def _tpe_s(study: Study, folder: Path) -> float:
    """Seconds of asking TPE for one more trial, on a copy of the study."""
    folder.mkdir()
    for file in study.store.path.glob("study.db*"):
        shutil.copy(file, folder)
    ledger = Ledger.open(folder / "study.db")
    ledger.settings = replace(ledger.settings, sampler="tpe")
    taken = [_timed(ledger.ask, lambda params, replicate: 1)[1] for _ in range(_N_TPE)]
    ledger.close()
    shutil.rmtree(folder)
    return median(taken)


def _timed(call: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    answer = call(*arguments)
    return answer, time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
