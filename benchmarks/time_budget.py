"""Does `--max-hours` keep its promise on a machine that becomes slow?

    python -m benchmarks.time_budget
    python -m benchmarks.time_budget --minutes 8 --busy 2

A study of every phase on digits_lt is asked for more trials than its time allows. Once some of them have ended,
programs that never rest take their share of every core, so that whatever follows takes about twice as long. The study
must end within 5 % of its time, with best1 confirmed on every seed. It may end early by what one trial takes, because
no trial is begun that does not fit.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from benchmarks.goals import Row, table
from benchmarks.record import RESULTS, write_results
from benchmarks.timing import Ratio
from study.schema import CAUTIONS, CautionReason
from tests.support.commands import Command
from tests.support.watched_study import WatchedStudy

MINUTES, CONFIRM_SEEDS = 8.0, 3

#: Trials that end at the machine's first speed.
_UNDISTURBED = 6
_TRIALS = 400
_STUDY = (
    *("--space", "acckd_core", "--data", "digits_lt", "--trials", str(_TRIALS), "--epochs", "60"),
    *("--finalists", "2", "--finalist-seeds", "2", "--confirm-seeds", str(CONFIRM_SEEDS), "--ladder", "la,kd"),
    *("--long-seeds", "1", "--ablation-seeds", "1"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and write the JSON; return 1 where the promise is not kept."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.time_budget", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of --max-hours (default: %(default)g)")
    parser.add_argument(
        "--busy", type=int, default=os.cpu_count() or 1, help="restless programs (default: one per core)"
    )
    args = parser.parse_args(argv)
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        study = WatchedStudy(Path(name) / "slowed")
        took, slowed_at = run_slowed(study, args.minutes, args.busy)
        manifest = study.manifest
        n_confirmed = confirmed(study.path)
        cautions = [one["text"] for one in manifest[CAUTIONS] if one["reason"] == CautionReason.TIME_CUT]
    found = rows(took, args.minutes, slowed_at, n_confirmed)
    print(table(found))
    print("\n".join(cautions))
    raw = {
        "minutes": args.minutes, "busy": args.busy, "took_s": took, "slowed_at_s": slowed_at, "cautions": cautions,
        "counts": manifest["counts"],
    }  # fmt: skip
    print(f"raw numbers: {write_results(RESULTS, found, raw, load_before=load_before, what='time-budget')}")
    return 0 if all(row.verdict == "met" for row in found) else 1


def rows(took: float, minutes: float, slowed_at: float, n_confirmed: int) -> list[Row]:
    """The study's time over what it was given, and the seeds on which best1 was confirmed over those asked for."""
    return [
        Row(f"time taken / --max-hours, slowed after {slowed_at:.0f} s", Ratio.single(took / (60 * minutes))),
        Row("best1's confirmed seeds / asked for", Ratio.single(n_confirmed / CONFIRM_SEEDS)),
    ]


def run_slowed(study: WatchedStudy, minutes: float, n_busy: int) -> tuple[float, float]:
    """Run the study; return the seconds of its whole command, and those after which the machine became slow.

    Raises:
        SystemExit: the study ended with another exit code than 0.
    """
    start = time.monotonic()
    folders = "--out", str(study.path.parent), "--name", study.path.name
    command = Command("study.run", *folders, *_STUDY, "--max-hours", str(minutes / 60))
    while command.running and not (study.manifest_path.exists() and n_ended(study) >= _UNDISTURBED):
        time.sleep(0.2)
    slowed_at = time.monotonic() - start
    with restless(n_busy):
        ended = command.end(4 * 60 * minutes)
    took = time.monotonic() - start
    if ended.code:
        raise SystemExit(f"the study ended with {ended.code}:\n{ended.out}{ended.err}")
    return took, slowed_at


def n_ended(study: WatchedStudy) -> int:
    """Return how many trials have ended."""
    return sum(state != "RUNNING" for state in study.states())


def confirmed(folder: Path) -> int:
    """Return on how many seeds best1 was confirmed at the study's own length."""
    runs = pd.read_csv(folder / "confirm.csv")
    own = runs[(runs["entry"] == "best1") & (runs["epochs_factor"] == 1)]
    return int(own["seed"].nunique())


@contextmanager
def restless(n: int) -> Iterator[None]:
    """Keep `n` processes busy until the block ends."""
    processes = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(n)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _spin() -> None:
    while True:
        pass


if __name__ == "__main__":
    raise SystemExit(main())
