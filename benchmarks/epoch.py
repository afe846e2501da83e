"""What does an epoch of ACCKD cost beyond its student's own forward, backward and step?

    python -m benchmarks.epoch

One thread, no evaluation: only training. The bound takes the same number of steps with the same optimiser on one
resident batch, cross-entropy alone, in the fastest of the settings tried. The student alone is a trial of la_mix, which
has no teacher. All have as many samples of D and of D_mix in a step, and the student makes the same passes over them.
Both ratios, to the bound and to the student alone, have goals (`benchmarks.goals`).
On the CPU one thread is measured by its processor time. What is left on digits_lt is the alignment layer, see
benchmarks/profile.py: its products take the operations of a ninth of the student's. The raw seconds are kept in
benchmarks/results/epoch-<data>-<hardware>-<date>.json.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache

import torch

from benchmarks.bare import COMPILED, SETTINGS, bare_epoch
from benchmarks.goals import Row, table
from benchmarks.record import RESULTS, write_results
from benchmarks.shapes import ENDLESS, SHAPES, Shape, random_trial_data
from benchmarks.timing import Ratio, Seconds, fastest, take_turns
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig, step_shape
from trainables.cckd.precision import Precision, StepShape, default_precision, faster_precision
from trainables.cckd.training.step_times import time_step
from trainables.cckd.training.trainer import Trainer

BATCH = 64


@dataclass(frozen=True)
class EpochTimes:
    """Seconds of an epoch of each contender, turn by turn; all have the same steps."""

    seconds: Seconds

    @property
    def bound(self) -> str:
        """The fastest bare setting."""
        return fastest({name: taken for name, taken in self.seconds.items() if name.startswith("bare")})

    def ratio(self, above: str, below: str) -> Ratio:
        """Time of `above` over time of `below`."""
        return Ratio.of(self.seconds[above], self.seconds[below])


def measure(
    shape: Shape, *, turns: int, batch_size: int = BATCH, compiled: bool = False, device: str = "cpu"
) -> EpochTimes:
    """Let an epoch of ACCKD, one without a teacher and the bare settings take turns.

    Args:
        shape: of the data.
        turns: measured epochs of each.
        batch_size: B; all take as many mixed samples beside.
        compiled: try `torch.compile` too, which first compiles for about a minute.
        device: 'cpu', on one thread, or 'cuda'.
    """
    torch.set_num_threads(1)
    data = random_trial_data(shape)
    trainer = trainer_of(data, shape.student, "acckd", batch_size, device)
    contenders: dict[str, Callable[[], object]] = {
        "acckd": trainer.run_epoch,
        "student only": trainer_of(data, shape.student, "la_mix", batch_size, device).run_epoch,
    }
    if device == "cuda":
        launched = trainer_of(data, shape.student, "acckd", batch_size, device)
        assert launched.learner.recorded is not None
        launched.learner.recorded.records = False
        contenders["acckd, kernel by kernel"] = launched.run_epoch
    settings = SETTINGS[device] | (COMPILED[device] if compiled else {})
    step, steps = step_shape(trainer.config, data.n_classes, data.image_shape), trainer.batches.n_steps
    contenders |= {name: bare_epoch(step, steps, setting, device=device) for name, setting in settings.items()}
    # Every epoch ends by waiting for the device.
    clock = time.process_time if device == "cpu" else time.perf_counter
    return EpochTimes(take_turns(contenders, turns, clock=clock))


def rows(name: str, times: EpochTimes) -> list[Row]:
    """The two ratios that have a goal."""
    return [
        Row(f"{name}: epoch / bare compute ({times.bound})", times.ratio("acckd", times.bound)),
        Row(f"{name}: cached-teacher epoch / student-only epoch", times.ratio("acckd", "student only")),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.epoch", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", choices=tuple(SHAPES), default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--n-max", type=int, metavar="N", help="images of the largest class (default: the set's)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    parser.add_argument("--turns", type=int, default=15, metavar="N", help="epochs of each (default: %(default)s)")
    parser.add_argument("--compile", action="store_true", help="try torch.compile for the bound too")
    args = parser.parse_args(argv)
    shape = SHAPES[args.data] if args.n_max is None else replace(SHAPES[args.data], n_max=args.n_max)
    load_before = os.getloadavg()[0]
    times = measure(shape, turns=args.turns, compiled=args.compile, device=args.device)
    found = rows(args.data, times)
    print(table(found))
    for name, taken in times.seconds.items():
        ratio = times.ratio(name, times.bound)
        print(f"{name}: {1e3 * sorted(taken)[len(taken) // 2]:.1f} ms an epoch, {ratio} times the bound")
    raw = {"shape": asdict(shape), "batch_size": BATCH, "times": asdict(times)}
    what = f"epoch-{args.data}"
    path = write_results(RESULTS, found, raw, load_before=load_before, what=what, device=args.device)
    print(f"raw numbers: {path}")
    return 0


def trainer_of(data: TrialData, student: str, method: str, batch_size: int, device: str = "cpu") -> Trainer:
    """Return a trainer in the precision that a study here would have, whose next epochs are no rungs."""
    settings = {"method": method, "student": student, "epochs": ENDLESS, "batch_size": batch_size}
    config = TrialConfig.build(settings)
    shape = step_shape(config, data.n_classes, data.image_shape)
    precision = _precision_here(shape) if device == "cpu" else default_precision(device)
    return Trainer(config, data, device=device, precision=precision)


@cache
def _precision_here(shape: StepShape) -> Precision:
    return faster_precision([time_step(shape).gain])


if __name__ == "__main__":
    sys.exit(main())
