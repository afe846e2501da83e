"""What do K trials trained together cost, against the same K one after the other?

    python -m benchmarks.fused --k 1 2 4 8 --device cpu          (or cuda)

Epochs of ACCKD by K configurations that differ in seed, rate, temperature and weights take turns: one by one, stacked
into one network, side by side as `--trials-per-process K` has them (each with its own recording), and on a GPU in
parallel (in one recording); without evaluation. The ratio is how many times as fast the joint ones are. Beside it
stands what the trainer's own measurement of a few steps answers.
The raw seconds are kept in benchmarks/results/fused-<data>-<hardware>-<date>.json.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median

import torch

from benchmarks.goals import Goal, Row, table
from benchmarks.record import RESULTS, write_results
from benchmarks.shapes import ENDLESS, SHAPES, Shape, random_trial_data
from benchmarks.timing import Ratio, Seconds, fastest, take_turns
from trainables.cckd.bundle import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.fused.choice import StepSeconds, measure_steps
from trainables.cckd.fused.side_by_side import SideBySide
from trainables.cckd.fused.trainer import FusedTrainer, ways
from trainables.cckd.trainer import Trainer

GOAL_K = 8
GOAL = Goal("at least", 4.0)


@dataclass(frozen=True)
class FusedTimes:
    """Seconds of an epoch of `k` trials, turn by turn, and what a few measured steps said."""

    k: int
    seconds: Seconds
    steps: StepSeconds

    def gain(self, how: str) -> Ratio:
        """Time one after the other over time together."""
        return Ratio.of(self.seconds["one by one"], self.seconds[how])

    @property
    def best(self) -> str:
        """The fastest way together."""
        return fastest({how: self.seconds[how] for how in self.joint})

    @property
    def joint(self) -> tuple[str, ...]:
        """All ways but one by one."""
        return tuple(how for how in self.seconds if how != "one by one")


def measure(shape: Shape, k: int, *, turns: int, device: str, batch_size: int = 64) -> FusedTimes:
    """Let epochs of `k` trials take turns, together and one by one, on random data of `shape`."""
    torch.set_num_threads(1)
    data = random_trial_data(shape)
    trainers = partial(_trainers, data, k, student=shape.student, batch_size=batch_size, device=device)
    solo = trainers()
    contenders: dict[str, Callable[[], object]] = {"one by one": lambda: [trainer.run_epoch() for trainer in solo]}
    contenders |= {how: FusedTrainer(trainers(), how=how).run_epoch for how in ways(torch.device(device))}
    contenders["side by side"] = partial(SideBySide().run_epochs, trainers())
    steps = measure_steps(solo)
    # An epoch ends with a copy to the host, so the clock waits for a GPU.
    clock = time.process_time if device == "cpu" else time.perf_counter
    return FusedTimes(k, take_turns(contenders, turns, clock=clock), steps)


def rows(found: Sequence[FusedTimes], *, device: str) -> list[Row]:
    """What has a goal: K = 8 on a GPU."""
    return [
        Row(f"{times.k} trials one by one / {times.best}", GOAL, times.gain(times.best))
        for times in found
        if times.k == GOAL_K and device == "cuda"
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fused", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--k", type=int, nargs="+", default=[1, 2, 4, 8], metavar="K", help="default: 1 2 4 8")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    parser.add_argument("--data", choices=tuple(SHAPES), default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=64, metavar="B", help="default: %(default)s")
    parser.add_argument("--turns", type=int, default=7, metavar="N", help="epochs of each (default: %(default)s)")
    args = parser.parse_args(argv)
    setting = {"device": args.device, "batch_size": args.batch_size}
    load_before = os.getloadavg()[0]
    found = [measure(SHAPES[args.data], k, turns=args.turns, **setting) for k in args.k]
    for times in found:
        of_steps = {str(how): times.steps.gain(how) for how in times.steps.joint}
        for how in times.joint:
            told = f"{times.gain(how)} times as fast as one by one"
            told += f", {of_steps[how]:.2f} by a few steps" if how in of_steps else ""
            print(f"K = {times.k}, {how}: {1e3 * median(times.seconds[how]):.1f} ms an epoch, {told}")
        print(f"K = {times.k}: the trainer's choice is {times.steps.best or 'one by one'}", flush=True)
    with_goal = rows(found, device=args.device)
    if with_goal:
        print(table(with_goal))
    raw = setting | {"data": args.data, "times": [asdict(times) for times in found]}
    path = write_results(
        RESULTS, with_goal, raw, load_before=load_before, what=f"fused-{args.data}", device=args.device
    )
    print(f"raw numbers: {path}")
    return 0


def _trainers(data: TrialData, k: int, *, student: str, batch_size: int, device: str) -> list[Trainer]:
    common = {"method": "acckd", "student": student, "epochs": ENDLESS, "batch_size": batch_size}
    own = [{"seed": n, "lr": 0.01 * (1 + n), "temperature": 1.0 + n, "feature_weight": 1.0 / (1 + n)} for n in range(k)]
    return [Trainer(TrialConfig.build(common | each), data, device=device) for each in own]


if __name__ == "__main__":
    sys.exit(main())
