"""Where does a second of training go?

    python -m benchmarks.profile

Takes the steps of an ACCKD epoch apart, one thread, processor time, whole and dissected epochs taking turns. The bound
of benchmarks/epoch.py counts the student's passes and its part of the optimiser. Alignment and imitation are the
method's own compute. What remains of the whole epoch is the host: Python between the steps, learning rate, records.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import process_time

import torch

from benchmarks.epoch import BATCH, trainer_of
from benchmarks.shapes import SHAPES, STUDIED, Shape, random_trial_data
from trainables.cckd.batches.epoch_draws import draw_epoch
from trainables.cckd.losses import feature_imitation
from trainables.cckd.losses.feature_imitation import Unaligned
from trainables.cckd.training.learner import autocast
from trainables.cckd.training.trainer import Trainer

FORWARD, BACKWARD = "student forward", "student backward"
LOSSES, IMITATION = "losses on logits", "alignment and imitation"
CROPS, TARGETS = "views cut out", "targets, mixing, random choices"
OPTIMISER, HOST = "optimiser", "host"
PIECES = (FORWARD, BACKWARD, OPTIMISER, IMITATION, LOSSES, TARGETS, CROPS, HOST)


@dataclass(frozen=True)
class Profile:
    """Medians over turns.

    Attributes:
        step_s: seconds of a step.
        pieces: what each of `PIECES` takes of them.
        evaluation_s: seconds of one evaluation on D_val, which an epoch at a rung adds.
    """

    step_s: float
    pieces: dict[str, float]
    evaluation_s: float

    def table(self) -> str:
        """As Markdown: microseconds a step and the share of it."""
        lines = ["| piece | µs a step | share |", "|---|---|---|"]
        for name in PIECES:
            taken = self.pieces[name]
            lines.append(f"| {name} | {1e6 * taken:,.0f} | {taken / self.step_s:.1%} |")
        lines.append(f"| a step | {1e6 * self.step_s:,.0f} | |")
        lines.append(f"| evaluation on D_val, where an epoch ends at a rung | {1e6 * self.evaluation_s:,.0f} | |")
        return "\n".join(lines)


def measure(shape: Shape, *, turns: int, batch_size: int = BATCH) -> Profile:
    """Train and take apart `turns` epochs each."""
    torch.set_num_threads(1)
    data = random_trial_data(shape)
    trainer = trainer_of(data, shape.student, "acckd", batch_size)
    steps = len(data.train_labels) // batch_size
    for _ in range(2):
        trainer.run_epoch()
    wholes, dissected, evaluations = [], [], []
    for _ in range(turns):
        started = process_time()
        trainer.run_epoch()
        wholes.append(process_time() - started)
        dissected.append(dissect(trainer))
        started = process_time()
        trainer.evaluate(data.val_images, data.val_labels)
        evaluations.append(process_time() - started)
        trainer.student.train()
    step_s = median(wholes) / steps
    pieces = {name: median(taken[name] for taken in dissected) / steps for name in PIECES if name != HOST}
    return Profile(step_s, pieces | {HOST: step_s - sum(pieces.values())}, median(evaluations))


def dissect(trainer: Trainer) -> dict[str, float]:
    """Train the epoch after the trainer's last piece by piece; return the seconds of each piece but the host's.

    The trainer does not count it: its next epoch has the same choices.
    """
    learner, batches, objective = trainer.learner, trainer.batches, trainer.objective
    epoch, n_plain = trainer.epoch + 1, trainer.config.batch_size
    shares = torch.cat([torch.full((n,), 1.0 / n) for n in (n_plain, objective.n_mixed)])
    clock = _Clock()
    for batch in batches.epoch(epoch):
        clock.lap(TARGETS)
        with autocast(trainer.device, trainer.precision):
            logits, features = learner._answers(batch)
        clock.lap(FORWARD)
        # The objective's share of the backward pass ends at these.
        shown, felt = (tensor.detach().requires_grad_() for tensor in (logits, features))
        aligned, prepared = learner._aligned(felt), batch.prepared
        assert isinstance(aligned, Unaligned)
        assert prepared is not None
        assert prepared.features is not None
        assert prepared.lengths is not None
        clock.lap(HOST)
        feature_imitation.imitation_unaligned(aligned, prepared.features, prepared.lengths, shares).backward()
        clock.lap(IMITATION)
        for tensor in (felt, *learner._parameters.values()):
            tensor.grad = None
        clock.lap(HOST)
        objective(shown, aligned, batch.plain, batch.mixed, prepared)["total"].backward()
        clock.lap(LOSSES)
        torch.autograd.backward((logits, features), (shown.grad, felt.grad))
        clock.lap(BACKWARD)
        learner._descend(0.01)
        clock.lap(OPTIMISER)
    fresh = not objective.needs_teacher
    choices = draw_epoch(trainer.config, trainer.data, objective.n_mixed, epoch, fresh=fresh)
    clock.lap(HOST)
    for _ in batches.images.blocks(choices.samples, choices.views, most=batches.steps_a_block):
        pass
    clock.lap(CROPS)
    taken = clock.taken
    taken[LOSSES] -= taken[IMITATION]  # the objective holds both
    taken[TARGETS] -= taken[CROPS]  # and the batches their crops
    return {name: taken[name] for name in PIECES if name != HOST}


class _Clock:
    """Adds this process's time since the last lap to a piece."""

    def __init__(self) -> None:
        self.taken = dict.fromkeys(PIECES, 0.0)
        self._last = process_time()

    def lap(self, name: str) -> None:
        now = process_time()
        self.taken[name] += now - self._last
        self._last = now


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--data", nargs="+", choices=tuple(SHAPES), default=STUDIED, help="default: those of 28 pixels or fewer"
    )
    parser.add_argument("--turns", type=int, default=15, metavar="N", help="epochs of each (default: %(default)s)")
    args = parser.parse_args(argv)
    for name in args.data:
        print(f"{name}, acckd, {SHAPES[name].student}, {BATCH} plain and {BATCH} mixed images a step:\n")
        print(measure(SHAPES[name], turns=args.turns).table(), end="\n\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
