"""How many times as fast as in float32 is a student's step in bfloat16 on a core of this machine?

    python -m benchmarks.step_gains

It times what a study times before its first trial (trainables/cckd/training/step_times.py), on the steps of three data
sets, each several times in a process of its own, and says which format a study would take.
Expected: on a processor with AMX bfloat16 on images of 28 pixels and more; elsewhere it is to be found out.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median

from benchmarks.shapes import SHAPES, step_of
from trainables.cckd.precision import faster_precision
from trainables.cckd.training.step_times import time_step

#: The images of D in a reference step of these sets; D_mix has as many.
BATCHES = {"fashion_mnist_lt": 32, "digits_lt": 32, "cifar100_lt": 128}


def main(argv: Sequence[str] | None = None) -> int:
    """Time and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step_gains", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--turns", type=int, default=3, metavar="N", help="timings of each step (default: %(default)s)")
    args = parser.parse_args(argv)
    for data, batch_size in BATCHES.items():
        shape = step_of(SHAPES[data], "acckd", batch_size=batch_size)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as apart:
            gains = sorted(time.gain for time in apart.map(time_step, [shape] * args.turns))
        print(f"{data}: {median(gains):.2f} ({gains[0]:.2f} to {gains[-1]:.2f}), {faster_precision([median(gains)])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
