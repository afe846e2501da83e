"""K students side by side on one GPU: each takes its own step on a stream of its own, all in one recording.

A small student's kernels occupy a fraction of a GPU, and each waits for the one before. Steps of other trials fill the
rest. Nothing is computed otherwise than solo, so the numbers are solo's; only the launches are shared.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.cckd.batches import StepBatch
from trainables.cckd.learner import Learner
from trainables.cckd.recorded import RecordedStep


class ParallelLearner:
    """K solo learners whose steps run at the same time."""

    def __init__(self, learners: Sequence[Learner], *, device: torch.device) -> None:
        """Train on the `learners` themselves.

        Args:
            learners: one a trial.
            device: a CUDA device.
        """
        self._learners = tuple(learners)
        self._streams = [torch.cuda.Stream(device) for _ in learners]
        self._recorded = RecordedStep(self._take, n_trials=len(learners), device=device)

    def step(self, batches: Sequence[StepBatch], rates: Sequence[float]) -> Tensor:
        """As `FusedLearner.step`."""
        return self._recorded(batches, rates)

    def tensors(self, trial: int) -> dict[str, Tensor]:
        """Return what `Learner.tensors` returns for the trial at this position; they are its own."""
        return self._learners[trial].tensors()

    def _take(self, batches: Sequence[StepBatch], rates: Tensor) -> Tensor:
        here = torch.cuda.current_stream()
        losses = []
        for learner, stream, batch, rate in zip(self._learners, self._streams, batches, rates.unbind(), strict=True):
            stream.wait_stream(here)
            with torch.cuda.stream(stream):
                losses.append(learner.take(batch, rate))
        for stream in self._streams:
            here.wait_stream(stream)
        return torch.stack(losses)
