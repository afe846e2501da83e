"""What does an epoch of ACCKD cost beyond its student's own forward, backward and step?

    python -m benchmarks.epoch

One thread, no evaluation: only training. The bound takes the same number of steps of the same number of
samples with the same optimiser on one resident batch, cross-entropy alone, in the fastest of the settings tried.
Expected: at most 1.05 times the bound, and at most 1.05 times an epoch without a teacher, sample for sample.
Measured on one core of an Intel Xeon under heavy other load (2026-11-26, so to be taken again on an idle machine):
digits_lt 1.18 and 1.13 (before the losses were computed in closed form 1.30 and 1.19), without feature imitation 1.05;
fashion_mnist_lt 1.10 and 1.10 with a spread of 0.3. What is left on digits_lt is the alignment layer, see
benchmarks/profile.py: its products take the operations of a ninth of the student's.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from benchmarks.goals import Goal, Row, table
from benchmarks.shapes import SHAPES, Shape, random_trial_data
from benchmarks.timing import Ratio, Seconds, fastest, take_turns
from trainables.cckd.bundle import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.students import build_student
from trainables.cckd.trainer import Trainer

STUDENT = "resnet8_cifar"
BATCH = 64

#: Longer than any benchmark, so that no measured epoch is a rung, which evaluates.
_EPOCHS = 1_000_000


@dataclass(frozen=True)
class EpochTimes:
    """Seconds of each contender, turn by turn, and the student samples it trains on in an epoch."""

    seconds: Seconds
    samples: dict[str, int]

    @property
    def bound(self) -> str:
        """The fastest bare setting."""
        return fastest({name: taken for name, taken in self.seconds.items() if name.startswith("bare")})

    def ratio(self, above: str, below: str) -> Ratio:
        """Time of `above` over time of `below`, per student sample."""
        share = self.samples[below] / self.samples[above]
        return Ratio.of([taken * share for taken in self.seconds[above]], self.seconds[below])


def measure(shape: Shape, *, turns: int, batch_size: int = BATCH, compiled: bool = False) -> EpochTimes:
    """Let an epoch of ACCKD, one without a teacher and the bare settings take turns.

    Args:
        shape: of the data.
        turns: measured epochs of each.
        batch_size: B; ACCKD takes as many mixed samples beside, the others 2 B plain ones.
        compiled: try `torch.compile` too, which first compiles for about a minute.
    """
    torch.set_num_threads(1)
    data = random_trial_data(shape)
    acckd = trainer_of(data, "acckd", batch_size)
    student_only = trainer_of(data, "la", 2 * batch_size)
    steps = len(data.train_labels) // batch_size
    contenders: dict[str, Callable[[], object]] = {
        "acckd": acckd.run_epoch,
        "student only": student_only.run_epoch,
        "bare channels_last": bare_epoch(data, 2 * batch_size, steps, torch.channels_last),
        "bare contiguous": bare_epoch(data, 2 * batch_size, steps, torch.contiguous_format),
    }
    if compiled:
        contenders["bare compiled"] = bare_epoch(data, 2 * batch_size, steps, torch.channels_last, compiled=True)
    of_one_step = 2 * batch_size
    samples = dict.fromkeys(contenders, steps * of_one_step)
    samples["student only"] = len(data.train_labels) // of_one_step * of_one_step
    return EpochTimes(take_turns(contenders, turns), samples)


def rows(name: str, times: EpochTimes) -> list[Row]:
    """The two ratios that have a goal."""
    return [
        Row(f"{name}: epoch / bare compute ({times.bound})", Goal("at most", 1.05), times.ratio("acckd", times.bound)),
        Row(
            f"{name}: cached-teacher epoch / student-only epoch",
            Goal("at most", 1.05),
            times.ratio("acckd", "student only"),
        ),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.epoch", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", choices=tuple(SHAPES), default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--turns", type=int, default=15, metavar="N", help="epochs of each (default: %(default)s)")
    parser.add_argument("--compile", action="store_true", help="try torch.compile for the bound too")
    args = parser.parse_args(argv)
    times = measure(SHAPES[args.data], turns=args.turns, compiled=args.compile)
    print(table(rows(args.data, times)))
    for name in times.seconds:
        print(f"{name}: {times.ratio(name, times.bound)} times the bound a sample")
    return 0


def trainer_of(data: TrialData, method: str, batch_size: int) -> Trainer:
    """Return a trainer of the default student whose next epochs are no rungs."""
    settings = {"method": method, "student": STUDENT, "epochs": _EPOCHS, "batch_size": batch_size}
    return Trainer(TrialConfig.build(settings), data)


def bare_epoch(
    data: TrialData, n_samples: int, steps: int, memory_format: torch.memory_format, *, compiled: bool = False
) -> Callable[[], None]:
    """Return an epoch of forward, backward and step on one resident batch of `n_samples`, and of nothing else."""
    channels, size, _ = data.image_shape
    student = build_student(STUDENT, data.n_classes, channels, size).to(memory_format=memory_format)
    optimizer = torch.optim.SGD(
        student.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )
    forward = torch.compile(student) if compiled else student
    images = torch.randn(n_samples, channels, size, size).contiguous(memory_format=memory_format)
    labels = torch.randint(data.n_classes, (n_samples,))

    def epoch() -> None:
        for _ in range(steps):
            logits, _ = forward(images)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


if __name__ == "__main__":
    sys.exit(main())
