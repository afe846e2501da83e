"""Folds of the training images, and one readout per fold that has not seen the images of its fold."""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.teacher.readout import Readout

#: The fold of an image must be the same in every study of the same data.
_FOLD_SEED = 0

_OneReadout = TypeVar("_OneReadout", bound=Readout)


@dataclass(frozen=True, eq=False)
class FoldReadouts:
    """K readouts, each fitted to the images of all folds but its own.

    Everything but weight and bias is as in the readout that is fitted to all images.

    Attributes:
        weight: float32 (K, C, D).
        bias: float32 (K, C).
        fold_of: the fold of each training image, int64 (N,).
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    fold_of: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.weight)

    def judge(self, fold: int, on_all: _OneReadout) -> _OneReadout:
        """Return the readout that judges the images of `fold`; `on_all` is the fit on all images."""
        return replace(on_all, weight=self.weight[fold], bias=self.bias[fold])


def deal_folds(labels: NDArray[np.int64], n_folds: int) -> NDArray[np.int64]:
    """Return the fold of each image, int64 (N,): every class is spread over the folds as evenly as possible."""
    rng = np.random.default_rng(_FOLD_SEED)
    folds = np.empty(len(labels), np.int64)
    next_fold = 0  # a class starts in the fold after the last one of the previous class, so that folds have equal size
    for class_id in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == class_id))
        folds[members] = (next_fold + np.arange(len(members))) % n_folds
        next_fold = (next_fold + len(members)) % n_folds
    return folds
