"""How many trials should share a GPU?

    python -m benchmarks.sharing --n 1 2 4 8                  (needs a GPU)
    python -m benchmarks.sharing --n 1 2 4 8 --by mps         (after `nvidia-cuda-mps-control -d`)

N trials of ACCKD train at the same time for some seconds after all are warm. They share the card in one of three ways:

processes  each trial has its own process, as with a `--gpus-per-trial` of 1/N
mps        the same, while NVIDIA's Multi-Process Service runs, which the caller starts
threads    one process trains all of them side by side, as with `--trials-per-process N`

The gain is the epochs that all of them finish per second over what one does alone. The raw numbers are kept in
benchmarks/results/sharing-<data>-<way>-<hardware>-<date>.json.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Any

from benchmarks.epoch import BATCH, trainer_of
from benchmarks.record import RESULTS, write_results
from benchmarks.shapes import SHAPES, Shape, random_trial_data
from trainables.cckd.concurrent.side_by_side import SideBySide

WAYS = ("processes", "mps", "threads")

#: Epochs of each process before the clock starts.
_WARM_UP = 3


@dataclass(frozen=True)
class Shared:
    """Epochs per second of each of N trials that trained at the same time."""

    rates: tuple[float, ...]

    @property
    def total(self) -> float:
        """Epochs per second of all together."""
        return sum(self.rates)


def measure(shape: Shape, n: int, *, seconds: float, device: str = "cuda") -> Shared:
    """Let `n` processes train at the same time for `seconds`."""
    context = get_context("spawn")
    start, found = context.Barrier(n), context.Queue()
    processes = [context.Process(target=_train, args=(shape, seconds, device, start, found)) for _ in range(n)]
    for process in processes:
        process.start()
    rates = tuple(found.get() for _ in processes)
    for process in processes:
        process.join()
    return Shared(rates)


def _train(shape: Shape, seconds: float, device: str, start: Barrier, found: Any) -> None:
    import torch

    torch.set_num_threads(1)
    trainer = trainer_of(random_trial_data(shape), shape.student, "acckd", BATCH, device)
    for _ in range(_WARM_UP):
        trainer.run_epoch()
    start.wait()
    started, n_epochs = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        trainer.run_epoch()  # ends with a copy to the host, so the clock waits for the GPU
        n_epochs += 1
    found.put(n_epochs / (time.perf_counter() - started))


def measure_threads(shape: Shape, n: int, *, seconds: float, device: str = "cuda") -> Shared:
    """Let one process train `n` trials side by side for `seconds`."""
    import torch

    torch.set_num_threads(1)
    data, together = random_trial_data(shape), SideBySide()
    trainers = [trainer_of(data, shape.student, "acckd", BATCH, device) for _ in range(n)]
    for _ in range(_WARM_UP):
        together.run_epochs(trainers)
    started, n_epochs = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        together.run_epochs(trainers)
        n_epochs += 1
    return Shared((n_epochs / (time.perf_counter() - started),) * n)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharing", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--n", type=int, nargs="+", default=[1, 2, 4, 8], metavar="N", help="default: 1 2 4 8")
    parser.add_argument("--data", choices=tuple(SHAPES), default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="of each (default: %(default)g)")
    parser.add_argument("--by", choices=WAYS, default=WAYS[0], help="how they share the card (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda", help="default: %(default)s")
    args = parser.parse_args(argv)
    load_before = os.getloadavg()[0]
    measured = measure_threads if args.by == "threads" else measure
    found = {n: measured(SHAPES[args.data], n, seconds=args.seconds, device=args.device) for n in args.n}
    first = found[args.n[0]]
    for n, shared in found.items():
        gain = shared.total / first.total
        print(f"{n} at a time: {shared.total:.1f} epochs per second, {gain:.2f} times those of {args.n[0]}", flush=True)
    rates = {n: shared.rates for n, shared in found.items()}
    raw = {"data": args.data, "by": args.by, "seconds": args.seconds, "rates": rates}
    what = f"sharing-{args.data}-{args.by}"
    path = write_results(RESULTS, [], raw, load_before=load_before, what=what, device=args.device)
    print(f"raw numbers: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
