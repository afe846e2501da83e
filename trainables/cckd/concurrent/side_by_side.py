"""Epochs of several trials at once on one device: their steps in turns; on a GPU each trial has its own stream.

The trials may differ in everything, batch size and student included, and may join or leave at any epoch: on a GPU each
replays its own recording. Every number is the same as in a trial that trains alone.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from time import perf_counter
from typing import TypeVar

import torch
from torch import Tensor

from trainables.cckd.concurrent.noisy_layers import noisy_layers
from trainables.cckd.records import EpochRecord
from trainables.cckd.training.trainer import Trainer

#: The end of an epoch: its record, or the exception that ended it.
Outcome = EpochRecord | Exception

_T = TypeVar("_T")


class SideBySide:
    """Trains trials of one device for an epoch at a time."""

    def __init__(self) -> None:
        self._streams: list[torch.cuda.Stream] = []
        self._noisy: dict[str, bool] = {}

    def run_epochs(self, trainers: Sequence[Trainer]) -> list[Outcome]:
        """Train each of `trainers` for one epoch. An exception ends the trial that raised it, and no other.

        `train_s` of a record is the trial's share of the common time. Students whose layers draw random numbers train
        one after the other, because a process has only one stream of random numbers.
        """
        alone = [trainer for trainer in trainers if self._draws(trainer)]
        outcomes = {trainer: _alone(trainer) for trainer in alone}
        outcomes |= self._together([trainer for trainer in trainers if trainer not in outcomes])
        return [outcomes[trainer] for trainer in trainers]

    def _draws(self, trainer: Trainer) -> bool:
        name = trainer.config.student
        if name not in self._noisy:
            self._noisy[name] = bool(noisy_layers(trainer.student, trainer.data.image_shape))
        return self._noisy[name]

    def _together(self, trainers: Sequence[Trainer]) -> dict[Trainer, Outcome]:
        started = perf_counter()
        epochs = [_Epoch(trainer, self._stream(k, trainer.device)) for k, trainer in enumerate(trainers)]
        going = epochs
        while going:
            going = [epoch for epoch in going if epoch.step()]
        for epoch in epochs:
            epoch.wait()
        train_s = (perf_counter() - started) / max(1, len(epochs))
        return {epoch.trainer: epoch.conclude(train_s) for epoch in epochs}

    def _stream(self, k: int, device: torch.device) -> torch.cuda.Stream | None:
        if device.type != "cuda":
            return None
        if k == len(self._streams):
            self._streams.append(torch.cuda.Stream(device))
        return self._streams[k]


class _Epoch:
    """One trial's epoch on `stream`; after an exception all methods do nothing."""

    def __init__(self, trainer: Trainer, stream: torch.cuda.Stream | None) -> None:
        self.trainer, self._stream = trainer, stream
        self._fault: Exception | None = None
        self._history: list[Tensor] = []
        self._losses = torch.empty(0)
        if stream is not None:  # earlier work on the trial's tensors ran on another stream
            stream.wait_stream(torch.cuda.current_stream(trainer.device))
        self._steps = trainer.steps()

    def step(self) -> bool:
        """Launch the next step, without waiting for it; return whether there was one."""
        loss = self._here(lambda: next(self._steps, None))
        if loss is None:
            return False
        self._history.append(loss)
        return True

    def wait(self) -> None:
        """Wait until all steps are done."""
        losses = self._here(lambda: torch.stack(self._history).double().cpu())
        if losses is not None:
            self._losses = losses

    def conclude(self, train_s: float) -> Outcome:
        """Evaluate at a rung, and return how the epoch ended."""
        record = self._here(lambda: self.trainer.conclude(self._losses.numpy(), train_s=train_s))
        outcome = self._fault if record is None else record
        assert outcome is not None, "an epoch without a record has a fault"
        return outcome

    def _here(self, act: Callable[[], _T]) -> _T | None:
        if self._fault is not None:
            return None
        try:
            with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
                return act()
        except Exception as error:  # a loss that is not finite, a GPU out of memory
            self._fault = error
            return None


def _alone(trainer: Trainer) -> Outcome:
    try:
        return trainer.run_epoch()
    except Exception as error:
        return error
