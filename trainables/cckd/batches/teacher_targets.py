"""The teacher's logits and features on the device of a trial, in the form in which they are stored."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.cckd.bundle.mapped_features import RawFeatures
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.teacher.fit.top_k_logits import TopKLogits
from trainables.cckd.tensors import resident


class ResidentTopK:
    """`TopKLogits` on a device; indexed like the dense tensor (N, V, C) that they represent."""

    def __init__(self, logits: TopKLogits, log_prior: NDArray[np.float64], device: torch.device) -> None:
        self._values = resident(logits.values, device)
        self._classes = resident(logits.classes, device)
        self._rest = resident(logits.rest, device)
        self._log_prior = torch.tensor(log_prior, dtype=torch.float32, device=device)
        self._prior = self._log_prior.exp()

    def __getitem__(self, rows: tuple[Tensor, Tensor]) -> Tensor:
        """Return dense logits (..., C), float32, for images (...) and views (...).

        The classes without a stored logit share the remaining weight in proportion to the teacher's prior. They then
        have the same z_t - log p^t: a dropped logit says only that its class is unlikely.
        """
        classes = self._classes[rows].long()
        unkept = (1 - self._prior[classes].sum(dim=-1)).clamp_min(torch.finfo(torch.float32).tiny)
        shift = self._rest[rows].float() - unkept.log()
        return (self._log_prior + shift[..., None]).scatter(-1, classes, self._values[rows].float())


class MappedFeatures:
    """`RawFeatures` read row by row; indexed like the standardised tensor (N, V, D) that they represent.

    They stay on the host: features too large for its memory are too large for a device that several trials share.
    """

    def __init__(self, features: RawFeatures, device: torch.device) -> None:
        self._raw = resident(features.open(), torch.device("cpu"))
        self._device = device
        self._mean = torch.tensor(features.mean, device=device)
        self._std = torch.tensor(features.std, device=device)

    def __getitem__(self, rows: tuple[Tensor, Tensor]) -> Tensor:
        """Return standardised features (..., D), float32, for images (...) and views (...)."""
        images, views = (index.cpu() for index in rows)
        return (self._raw[images, views].to(self._device).float() - self._mean) / self._std


#: Teacher outputs of V views of N images, indexed like a tensor (N, V, ...).
Outputs = Tensor | ResidentTopK | MappedFeatures


def gather(outputs: Outputs, rows: Tensor, n_views: int) -> Tensor:
    """Return the outputs of `rows`, int64 (...), each image V + view; float32 (..., K)."""
    if isinstance(outputs, Tensor):
        # One index into the rows of a matrix is several times faster than two indices.
        found = outputs.flatten(0, 1).index_select(0, rows.flatten())
        return found.float().unflatten(0, rows.shape)
    return outputs[rows // n_views, rows % n_views]


def resident_features(data: TrialData, device: torch.device) -> Tensor | MappedFeatures:
    """Upload the teacher's features; map them into memory where they are too large to upload."""
    features = data.teacher_features
    return MappedFeatures(features, device) if isinstance(features, RawFeatures) else resident(features, device)


def resident_logits(data: TrialData, device: torch.device) -> Tensor | ResidentTopK:
    """Upload the teacher's logits in the form in which they are stored."""
    logits = data.teacher_logits
    if isinstance(logits, TopKLogits):
        return ResidentTopK(logits, data.teacher_log_prior, device)
    return resident(logits, device)
