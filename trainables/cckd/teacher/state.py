"""A fitted teacher as plain arrays, which every trial gets with its data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class TeacherState:
    """The fitted teacher apart from its backbone's weights, which each machine finds for itself.

    Attributes:
        name: timm name of the backbone.
        size: side of the teacher's square input, pixels.
        weight, bias: of the readout, float32 (C, K) and (C,).
        feature_mean, feature_std: what standardises a raw feature, float32 (D,) and (D,).
        scale, projection, offset: as in teacher.readout.Readout; None for an affine readout.
        weights: the weight file that was given, None where each machine finds the published one.
        sha256: of the weight file; None where it is not checked.
    """

    name: str
    size: int
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    feature_mean: NDArray[np.float32]
    feature_std: NDArray[np.float32]
    scale: float | None = None
    projection: NDArray[np.float32] | None = None
    offset: NDArray[np.float32] | None = None
    weights: str | None = None
    sha256: str | None = None
