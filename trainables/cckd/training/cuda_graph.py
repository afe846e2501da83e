"""A training step that a GPU replays from a recording, as a CUDA graph.

The step of a small student is some hundreds of kernels of a few microseconds each; launching them one by one takes the
host several times as long as running them takes the GPU. Recorded, they are one launch.
"""

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trainables.cckd.batches.steps import StepBatch

#: Steps taken as they are before one is recorded: in them libraries choose their algorithms and allocate.
WARM_UP_STEPS = 3

#: Takes one step on a batch at a learning rate, a scalar on the device, and returns the losses.
Step = Callable[[StepBatch, Tensor], Tensor]


class RecordedStep:
    """Takes training steps, the first ones as they are, all later ones by replaying a recording of one.

    A step that cannot be recorded, because it waits for the device, goes on as it is.

    Attributes:
        records: whether a step is still to be recorded, where none has been; clear it to have none.
    """

    def __init__(self, step: Step, *, device: torch.device) -> None:
        """Record `step` when it is warm.

        Args:
            step: changes weights, buffers and momenta in place only; what it decides in Python is decided for good.
            device: a CUDA device.
        """
        self._step, self._n_plain = step, 0
        self.records = True
        self._rate = torch.zeros((), device=device)
        self._recording: _Recording | None = None

    def __call__(self, batch: StepBatch, rate: float) -> Tensor:
        """Take one step; return its losses, which later steps do not overwrite."""
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
    """A recorded step, what it reads its batch from, and where it leaves its losses."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    losses: Tensor

    def replay(self, batch: StepBatch) -> Tensor:
        _copy(_tensors(batch), self.inputs)
        self.graph.replay()
        return self.losses.clone()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Another trial's recording, if it were collected meanwhile, would spoil this one."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a dataclass of tensors and such dataclasses with every tensor changed."""
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


def _copy(given: Sequence[Tensor], kept: Sequence[Tensor]) -> None:
    # One launch a kind of number instead of one a tensor.
    for dtype in {tensor.dtype for tensor in kept}:
        into = [tensor for tensor in kept if tensor.dtype == dtype]
        torch._foreach_copy_(into, [tensor for tensor in given if tensor.dtype == dtype])
