"""Does bfloat16 train as well as float32, and faster?

    python -m benchmarks.precision

The rungs la, cckd and acckd at their reference points, on the CPU, each trained in both on the same seeds; the paired
differences of test balanced accuracy get a t interval. The seconds of a run are those of its training epochs. Which is
faster on a processor is measured apart, in one process, by benchmarks/epoch.py: bare bfloat16 over bare channels_last.

Expected on a processor with AMX: no rung differs by a point, and bfloat16 takes two thirds of the seconds. Every run is
kept in benchmarks/results/precision-<data>-<hardware>-<date>.json.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.record import RESULTS, write_results
from benchmarks.seeds import Comparison, Way, World, compare
from benchmarks.targets import prepare
from benchmarks.timing import Ratio
from trainables.cckd.assemble import assemble_test
from trainables.cckd.data import load_data, parse_data
from trainables.cckd.precision import PRECISIONS

RUNGS = ("la", "cckd", "acckd")


def main(argv: Sequence[str] | None = None) -> int:
    """Train every rung in both precisions on every seed, print the table, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--data-root", default="data", type=Path, help="where data sets lie (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=6, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, help="default: the data set's")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: one a core")
    args = parser.parse_args(argv)
    load_before = os.getloadavg()[0]
    data = load_data(parse_data(args.data), data_root=args.data_root.absolute())
    bundle = prepare(data, args.workers, targets=("in_fold",))[0]["in_fold"]
    ways: dict[str, Way] = {precision: Way(bundle, precision) for precision in PRECISIONS}
    world = World(ways, assemble_test(data), args.epochs or data.spec.info.default_epochs)
    found = compare(world, RUNGS, seeds=args.seeds, workers=args.workers)
    print(found.table())
    print("\n".join(f"{rung}: bfloat16 takes {speed(found, rung)} of the seconds of float32" for rung in RUNGS))
    raw = {"data": str(data.spec), "epochs": world.epochs, **found.to_json()}
    path = write_results(RESULTS, [], raw, load_before=load_before, what=f"precision-{data.spec.name}")
    print(f"raw numbers: {path}")
    return 0


def speed(found: Comparison, rung: str) -> Ratio:
    """Seconds in bfloat16 over those in float32, seed by seed."""
    above, below = ([run.train_s for run in found.of(rung, way)] for way in ("bfloat16", "float32"))
    return Ratio.of(above, below)


if __name__ == "__main__":
    raise SystemExit(main())
