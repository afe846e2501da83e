"""A training step that a GPU replays from a recording, as a CUDA graph.

The step of a small student consists of some hundred kernels of a few microseconds each. Launching them one by one takes
the host several times as long as the GPU needs to run them. A recording takes one launch.
"""

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trainables.cckd.batches.steps import StepBatch
from trainables.cckd.training.torch_private import copy_all

#: Steps taken without a recording at first: in them libraries choose their algorithms and allocate memory.
WARM_UP_STEPS = 3

#: Takes one step on a batch at a learning rate, a scalar on the device, and returns the losses.
Step = Callable[[StepBatch, Tensor], Tensor]


class RecordedStep:
    """Takes training steps: the first ones kernel by kernel, all later ones by replaying a recording of one.

    A step that waits for the device cannot be recorded; its kernels are then launched one by one for good.

    Attributes:
        records: whether a step may still be recorded; set it to False to prevent a recording.
    """

    def __init__(self, step: Step, *, device: torch.device) -> None:
        """Prepare to record `step` after WARM_UP_STEPS.

        Args:
            step: changes weights, buffers and momenta in place only; its decisions in Python are made once.
            device: a CUDA device.
        """
        self._step, self._n_plain = step, 0
        self.records = True
        self._rate = torch.zeros((), device=device)
        self._recording: _Recording | None = None

    def __call__(self, batch: StepBatch, rate: float) -> Tensor:
        """Take one step; return its losses, in memory that later steps do not overwrite."""
        self._rate.fill_(rate)
        if self._recording is None and self._n_plain >= WARM_UP_STEPS and self.records:
            self._record(batch)
        if self._recording is None:
            self._n_plain += 1
            return self._step(batch, self._rate)
        return self._recording.replay(batch)

    def _record(self, batch: StepBatch) -> None:
        kept = _changed(batch, torch.empty_like)
        graph = torch.cuda.CUDAGraph()
        try:
            with _no_collection(), torch.cuda.graph(graph):
                losses = self._step(kept, self._rate)
        except RuntimeError as error:
            self.records = False
            torch.cuda.synchronize()
            reason = str(error).strip().splitlines()[0]
            warnings.warn(f"training steps are launched kernel by kernel, which is slower: {reason}", stacklevel=2)
            return
        self._recording = _Recording(graph, _tensors(kept), losses)


@dataclass(frozen=True, eq=False)
class _Recording:
    """A recorded step, the tensors it reads its batch from, and the tensor it writes its losses to."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    losses: Tensor

    def replay(self, batch: StepBatch) -> Tensor:
        copy_all(_tensors(batch), self.inputs)
        self.graph.replay()
        return self.losses.clone()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Suspend garbage collection: collecting another trial's recording meanwhile would spoil this one."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a copy of nested dataclasses of tensors, with `change` applied to every tensor."""
    if isinstance(value, Tensor):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _changed(getattr(value, field.name), change) for field in fields(value)})
    return value


def _tensors(batch: StepBatch) -> list[Tensor]:
    found: list[Tensor] = []
    waiting: list[Any] = [batch]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            found.append(value)
        elif value is not None:
            waiting += reversed(vars(value).values())
    return found
