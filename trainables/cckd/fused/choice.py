"""Is fused training faster here? Asked of the very trials that are to be trained, on their device.

On two CPU cores it is not for students of usual width: a grouped convolution computes as much as K convolutions. It
pays where launching a layer costs more than computing it: small students on a GPU.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter

import torch

from trainables.cckd.fused.trainer import How, joint_learner, ways
from trainables.cckd.recorded import WARM_UP_STEPS
from trainables.cckd.trainer import Trainer

#: How many times as fast fused steps must be: less than this is within what two measurements differ by.
MARGIN = 1.1


@dataclass(frozen=True)
class StepSeconds:
    """Seconds of one step of all K trials, turn by turn.

    Attributes:
        solo: one trial after the other.
        joint: by the ways that the device has.
    """

    solo: tuple[float, ...]
    joint: Mapping[How, tuple[float, ...]]

    def gain(self, how: How) -> float:
        """How many times as fast joint steps are, by medians."""
        return median(self.solo) / median(self.joint[how])

    @property
    def best(self) -> How | None:
        """How trials like these should be trained here, None where solo is as good."""
        best = max(self.joint, key=self.gain)
        return best if self.gain(best) >= MARGIN else None


def measure_steps(trainers: Sequence[Trainer], *, turns: int = 5, warm_up: int = WARM_UP_STEPS + 1) -> StepSeconds:
    """Let joint and solo steps take turns on the trials' own first batches; the trials are left as they were.

    Making the batches costs all the same and is not in the seconds.

    Args:
        trainers: trials that can be fused.
        turns: measured steps of each.
        warm_up: steps before them, in which a GPU's are recorded.
    """
    device = trainers[0].device
    batches = [next(iter(trainer.batches.epoch(trainer.epoch + 1))) for trainer in trainers]
    rates = [trainer.rates()[0] for trainer in trainers]
    before = [{name: tensor.clone() for name, tensor in trainer.learner.tensors().items()} for trainer in trainers]
    joint = {how: joint_learner(trainers, how) for how in ways(device)}
    for trainer in trainers:
        trainer.student.train()

    def solo() -> None:
        for trainer, batch, rate in zip(trainers, batches, rates, strict=True):
            trainer.learner.step(batch, rate)

    contenders: dict[str, Callable[[], object]] = {"solo": solo}
    contenders |= {how: partial(learner.step, batches, rates) for how, learner in joint.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(-warm_up, turns):
        for name, step in contenders.items():
            taken = _seconds(step, device)
            if turn >= 0:
                seconds[name].append(taken)
    for trainer, tensors in zip(trainers, before, strict=True):
        trainer.learner.load_tensors(tensors)
    return StepSeconds(tuple(seconds["solo"]), {how: tuple(seconds[how]) for how in joint})


def _seconds(step: Callable[[], object], device: torch.device) -> float:
    _finish(device)
    started = perf_counter()
    step()
    _finish(device)
    return perf_counter() - started


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
