"""The teacher's logits on the device that trains: all of them, or their largest where classes are many."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.cckd.augment import resident
from trainables.cckd.bundle import TrialData
from trainables.cckd.topk import TopKLogits


class ResidentTopK:
    """`TopKLogits` on a device; indexed like the dense tensor (N, V, C) they stand for."""

    def __init__(self, logits: TopKLogits, log_prior: NDArray[np.float64], device: torch.device) -> None:
        self._values = resident(logits.values, device)
        self._classes = resident(logits.classes, device)
        self._rest = resident(logits.rest, device)
        self._log_prior = torch.tensor(log_prior, dtype=torch.float32, device=device)
        self._prior = self._log_prior.exp()

    def __getitem__(self, rows: tuple[Tensor, Tensor]) -> Tensor:
        """Dense logits (B, C), float32, of images and views (B,) each; as `TopKLogits.dense`."""
        classes = self._classes[rows].long()
        unkept = (1 - self._prior[classes].sum(dim=1)).clamp_min(torch.finfo(torch.float32).tiny)
        shift = self._rest[rows].float() - unkept.log()
        return (self._log_prior + shift[:, None]).scatter(1, classes, self._values[rows].float())


def resident_logits(data: TrialData, device: torch.device) -> Tensor | ResidentTopK:
    """Upload the teacher's logits in the form they are stored in."""
    logits = data.teacher_logits
    if isinstance(logits, TopKLogits):
        return ResidentTopK(logits, data.teacher_log_prior, device)
    return resident(logits, device)
