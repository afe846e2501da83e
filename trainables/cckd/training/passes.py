"""The student's passes of a training step: one over D and D_mix together, or one over each.

Whatever trains or prices a step makes its passes here: the learner, and the bare step of the benchmarks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import Tensor, cat, nn

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


class Passes:
    """The passes of a student in training.

    Where `mix_statistics` is 'separate', each set is normalised by its own mean and deviation, and the running
    averages, by which the student is evaluated, follow D alone.
    """

    def __init__(self, student: nn.Module, mix_statistics: Literal["joint", "separate"]) -> None:
        """Take a student that maps images to logits (N, C) and features (N, D_s)."""
        self._student, self._apart = student, mix_statistics == "separate"
        self._averaging = [
            layer for layer in student.modules() if isinstance(layer, BatchNorm) and layer.track_running_stats
        ]

    def __call__(self, images: Tensor, n_plain: int) -> tuple[Tensor, Tensor]:
        """Return logits and features of images of D, the first `n_plain`, and of D_mix, in their order."""
        if n_plain == len(images) or not self._apart:
            logits, features = self._student(images)
            return logits, features
        plain, mixed = images.split([n_plain, len(images) - n_plain])
        of_plain = self._student(plain)
        with _keeping_averages(self._averaging):
            of_mixed = self._student(mixed)
        return cat([of_plain[0], of_mixed[0]]), cat([of_plain[1], of_mixed[1]])


@contextmanager
def _keeping_averages(layers: list[BatchNorm]) -> Iterator[None]:
    """Let layers in training normalise by their batch without a change of their running averages."""
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:  # training goes on after a step that could not be recorded as a CUDA graph
        for layer in layers:
            layer.track_running_stats = True
