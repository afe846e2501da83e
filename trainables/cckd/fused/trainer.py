"""K trials that take their epochs together, each with its own records, checkpoint and end."""

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, Literal, Self

import torch

from trainables.cckd.bundle import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import ConfigError, NonFiniteLossError
from trainables.cckd.fused.fusable import layer_faults, trial_faults
from trainables.cckd.fused.learner import FusedLearner
from trainables.cckd.fused.parallel import ParallelLearner
from trainables.cckd.fused.terms import FusedObjective
from trainables.cckd.records import EpochRecord
from trainables.cckd.rungs import rungs
from trainables.cckd.trainer import Trainer

#: How K trials take their steps together: their weights stacked into one network, or side by side on one GPU.
How = Literal["stacked", "parallel"]


def ways(device: torch.device) -> tuple[How, ...]:
    """Those that a device has."""
    return ("stacked", "parallel") if device.type == "cuda" else ("stacked",)


class FusedTrainer:
    """Trains K trials together, on each the numbers of solo training to rounding.

    Trials may stand at different epochs and end at different times; those that go on are stacked anew.

    Attributes:
        causes: position of a trial -> the loss that ended it; the others go on without it.
    """

    def __init__(self, trainers: Sequence[Trainer], *, how: How = "stacked") -> None:
        """Take over trainers that may have been restored, or trained solo for a while.

        Args:
            trainers: one a trial.
            how: choice.py measures which is faster; parallel needs a GPU.

        Raises:
            ConfigError: trials or layers that cannot be fused; `faults` lists every one.
        """
        if not trainers:
            raise ConfigError("fused training needs at least one trial; got none")
        self._trainers = tuple(trainers)
        faults = trial_faults(self._trainers)
        faults += layer_faults(self._trainers[0].student, self._trainers[0].data.image_shape)
        if how not in ways(self._trainers[0].device):
            faults.append(f"{how} trials need a GPU; got device {self._trainers[0].device}")
        if faults:
            raise ConfigError(faults)
        self._how: How = how
        self.causes: dict[int, NonFiniteLossError] = {}
        self._dropped: set[int] = set()
        self._stacked: tuple[tuple[int, ...], FusedLearner | ParallelLearner] | None = None

    @classmethod
    def build(cls, configs: Sequence[TrialConfig], data: TrialData, *, how: How = "stacked", **options: Any) -> Self:
        """Build the trainers first; `options` as for `Trainer`.

        Raises:
            ConfigError: as above, or a configuration that `Trainer` refuses.
        """
        trainers, faults = [], []
        for number, config in enumerate(configs):
            try:
                trainers.append(Trainer(config, data, **options))
            except ConfigError as error:
                faults += [f"trial {number}: {fault}" for fault in error.faults]
        if faults:
            raise ConfigError(faults)
        return cls(trainers, how=how)

    @property
    def trials(self) -> tuple[Trainer, ...]:
        """The trainers, each up to date and usable by itself (save, restore, judge, train on solo) until `run_epoch`.

        Reading them copies the weights out of the stack, and the next epoch copies them in again.
        """
        self._settle()
        self._stacked = None
        return self._trainers

    @property
    def running(self) -> tuple[int, ...]:
        """Positions of the trials that have epochs left and neither diverged nor were dropped."""
        ended = self._dropped | self.causes.keys()
        return tuple(k for k, trainer in enumerate(self._trainers) if not trainer.done and k not in ended)

    def __iter__(self) -> Iterator[Mapping[int, EpochRecord]]:
        while self.running:
            yield self.run_epoch()

    def drop(self, trial: int) -> None:
        """Train the trial at this position no further: it was pruned."""
        self._dropped.add(trial)

    def run_epoch(self) -> dict[int, EpochRecord]:
        """Train every running trial for one epoch; return the records by position.

        A trial whose loss became NaN or infinite has none: it is in `causes`, its records end with the epoch before.
        Each record's `train_s` is the trial's share of the time that all took together.
        """
        running = self.running
        assert running, "no trial is left to train"
        started = perf_counter()
        trainers = [self._trainers[k] for k in running]
        learner = self._learner(running)
        trainers[0].student.train()  # which lends its layers
        batches = zip(*(trainer.batches.epoch(trainer.epoch + 1) for trainer in trainers), strict=True)
        rates = zip(*(trainer.rates() for trainer in trainers), strict=True)
        history = [learner.step(step, at) for step, at in zip(batches, rates, strict=True)]
        for trainer in trainers:
            trainer.look_ahead()
        losses = torch.stack(history, dim=1).double().cpu().numpy()
        train_s = (perf_counter() - started) / len(running)
        if any(trainer.epoch + 1 in rungs(trainer.config.epochs) for trainer in trainers):
            self._settle()
        records = {}
        for k, trainer, of_trial in zip(running, trainers, losses, strict=True):
            try:
                records[k] = trainer.conclude(of_trial, train_s=train_s)
            except NonFiniteLossError as error:
                self.causes[k] = error
        return records

    def _learner(self, running: tuple[int, ...]) -> FusedLearner | ParallelLearner:
        if self._stacked is None or self._stacked[0] != running:
            self._settle()
            self._stacked = running, joint_learner([self._trainers[k] for k in running], self._how)
        return self._stacked[1]

    def _settle(self) -> None:
        """Give every stacked trial its weights."""
        if self._stacked is not None:
            running, learner = self._stacked
            for position, k in enumerate(running):
                self._trainers[k].learner.load_tensors(learner.tensors(position))


def joint_learner(trainers: Sequence[Trainer], how: How) -> FusedLearner | ParallelLearner:
    """What takes the trainers' steps from here on; stacked it starts from a copy of what they have learnt so far."""
    learners, device = [trainer.learner for trainer in trainers], trainers[0].device
    if how == "parallel":
        return ParallelLearner(learners, device=device)
    configs = [trainer.config for trainer in trainers]
    weights = [trainer.objective.weights for trainer in trainers]
    objective = FusedObjective(configs, weights, trainers[0].data, device=device)
    return FusedLearner(learners, configs, objective, device=device, precision=trainers[0].precision)
