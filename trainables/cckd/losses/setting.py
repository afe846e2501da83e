"""What a plain loss may read beside the logits and targets of a step."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from trainables.cckd.long_tail import groups_of
from trainables.cckd.methods import Knobs


@dataclass(frozen=True, eq=False)
class Setting:
    """The setting of a trial, its tensors on the device of the logits.

    Attributes:
        knobs: the trial's knobs.
        counts: training images of each class, n, float64 (C,).
        terciles: class ids of the thirds of the classes by training count, int64; one without classes is left out.
        progress: share of the training that is done, float32 (). It changes in place, so that a step that was recorded
            as a CUDA graph sees it change.
    """

    knobs: Knobs
    counts: Tensor
    terciles: tuple[Tensor, ...]
    progress: Tensor

    @classmethod
    def of(cls, knobs: Knobs, counts: Tensor) -> Self:
        """Return the setting at the beginning of a trial with training counts (C,)."""
        groups = groups_of(counts.tolist())
        terciles = (groups.tercile_high, groups.tercile_middle, groups.tercile_low)
        found = tuple(torch.tensor(ids, device=counts.device) for ids in terciles if ids)
        return cls(knobs, counts.double(), found, torch.zeros((), device=counts.device))
