"""Is the toolkit as fast as it wants to be on this machine?

    python -m benchmarks.run --quick      (meant for at most 6 minutes on two cores; --help says what it leaves out)
    python -m benchmarks.run              (hours: half a default study against the scripts)

Prints every goal with its measured ratio and keeps the raw seconds in benchmarks/results/quick-<hardware>-<date>.json,
or full-<hardware>-<date>.json.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import driver, epoch, memory, occupancy, report_time, start, study_wall, turnover
from benchmarks.goals import Row, table
from benchmarks.record import RESULTS, write_results
from benchmarks.shapes import SHAPES, STUDIED
from benchmarks.study_wall import Budget
from tests.support.commands import passing_data_root

#: Trials of the search of --quick: three for each of two cores.
_QUICK_TRIALS = 6
#: Where an epoch is measured; of CIFAR's images a few are enough, since a step costs the same.
EPOCHS_OF = SHAPES | {"cifar100_lt": replace(SHAPES["cifar100_lt"], n_max=12, ir=10)}
_HALF = Budget.of_default_study("fashion_mnist_lt").half
#: What the study and each peer are given. Plain Optuna, which takes one trial at a time, has too few to be judged.
BUDGETS = {"peer script": _HALF, "careful Optuna": _HALF, "plain Optuna": replace(_HALF, trials=4)}


_QUICK = (
    "few turns and a short search, meant for at most 6 minutes on two cores; leaves out CIFAR's epoch, torch.compile, "
    "search, memory and start of fashion_mnist_lt, the start with an empty teacher cache, the turnover between trials, "
    "and the study against the scripts (default: all of it)"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run all benchmarks, print the table, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help=_QUICK)
    parser.add_argument("--data-root", default="data", type=Path, help="where data sets lie (default: %(default)s)")
    args = parser.parse_args(argv)
    data_root = args.data_root.absolute()
    load_before = os.getloadavg()[0]
    rows: list[Row] = []
    raw: dict[str, Any] = {}
    for name in STUDIED if args.quick else EPOCHS_OF:
        print(f"epoch of {name} ...", flush=True)
        # A turn of CIFAR's shape takes half a minute.
        turns = 5 if args.quick else 15 if name in STUDIED else 3
        compiled = not args.quick and name in STUDIED
        # Apart: what torch.compile leaves behind, two gigabytes and its workers, would weigh on all that follows.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            times = apart.submit(epoch.measure, EPOCHS_OF[name], turns=turns, compiled=compiled).result()
        rows += epoch.rows(name, times)
        raw[f"epoch {name}"] = asdict(times)
    print("driver ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        of_driver = driver.measure(Path(folder))
    rows += driver.rows(of_driver)
    raw["driver"] = asdict(of_driver)
    for name in STUDIED[-1:] if args.quick else STUDIED:
        with passing_data_root(data_root) as root:
            print(f"search of {name} ...", flush=True)
            trials, epochs = _QUICK_TRIALS if args.quick else occupancy.TRIALS, occupancy.recipe_epochs(name)
            of_search = occupancy.measure(name, root, trials=trials, epochs=epochs)
            print(f"memory of {name} ...", flush=True)
            of_memory = memory.measure(name, root)
            print(f"start of {name} ...", flush=True)
            # The quick one does without a teacher's pass of its own.
            of_start = start.measure(name, root, turns=1 if args.quick else 3, warm=args.quick)
        rows += start.rows(name, of_start.seconds)
        raw[f"start {name}"] = asdict(of_start)
        rows += occupancy.rows(name, of_search)
        raw[f"search {name}"] = asdict(of_search)
        print(f"the teacher's outputs take {of_search.cache_bytes:,.0f} bytes a view on disk")
        rows += memory.rows(name, of_memory)
        raw[f"memory {name}"] = asdict(of_memory)
    if not args.quick:
        print("turnover ...", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            of_trials = turnover.measure(Path(folder))
        rows += turnover.rows(of_trials)
        raw["turnover"] = asdict(of_trials)
    print("report of 500 trials ...", flush=True)
    of_report = report_time.measure(report_time.TRIALS)
    rows += report_time.rows(of_report)
    raw["report"] = of_report
    code = 0
    for peer, budget in () if args.quick else BUDGETS.items():
        print(f"study against {peer} on {budget.data} ...", flush=True)
        try:
            seconds = study_wall.measure(replace(budget, data_root=data_root), turns=1, peers=[peer])
        except study_wall.CommandFailedError as error:  # what has been measured so far took an hour
            print(f"error: {error}", file=sys.stderr)
            code = 1
            continue
        rows += study_wall.rows(budget, seconds)
        raw[f"study against {peer}"] = {"budget": asdict(budget) | {"data_root": None}, "seconds": seconds}
    print(table(rows))
    what = "quick" if args.quick else "full"
    print(f"raw numbers: {write_results(RESULTS, rows, raw, load_before=load_before, what=what)}")
    return code


if __name__ == "__main__":
    sys.exit(main())
