"""From a backbone's features to the teacher's logits, for all five forms of teacher."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NORM_FLOOR = 1e-12


@dataclass(frozen=True, eq=False, kw_only=True)
class Readout:
    """A fitted classifier on frozen features.

    Without `scale` it is affine: weight @ standardised features + bias. With `scale`, logits are `scale` times the
    cosines between the projected raw features and the rows of `weight`, which have length 1.

    Attributes:
        weight, bias: float32 (C, K) and (C,); K is D, or E where there is a projection.
        feature_mean, feature_std: mean and deviation of the raw training features over all views, float32 (D,).
        scale: factor on the cosines, None for an affine readout.
        projection, offset: map raw features to the space of the cosines, float32 (E, D) and (E,), or None.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    feature_mean: NDArray[np.float32]
    feature_std: NDArray[np.float32]
    scale: float | None = None
    projection: NDArray[np.float32] | None = None
    offset: NDArray[np.float32] | None = None

    def standardise(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return raw features (..., D) standardised, float32."""
        return standardise(features, self.feature_mean, self.feature_std)

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return raw logits z_t, float32 (..., C), of raw features (..., D)."""
        if self.scale is None:
            logits: NDArray[np.float32] = self.standardise(features) @ self.weight.T
            logits += self.bias
            return logits
        place = features.astype(np.float32)
        if self.projection is not None and self.offset is not None:
            place = place @ self.projection.T + self.offset
        return np.float32(self.scale) * (unit(place) @ self.weight.T) + self.bias

    def state(self, **backbone: Any) -> "TeacherState":
        """Return the readout with its backbone, of which `backbone` holds the attributes of TeacherState."""
        return TeacherState(**{field.name: getattr(self, field.name) for field in fields(Readout)}, **backbone)


@dataclass(frozen=True, eq=False, kw_only=True)
class TeacherState(Readout):
    """The fitted teacher without its backbone's weights, which each machine finds for itself.

    Attributes:
        name: timm name of the backbone.
        size: side of the teacher's square input, pixels.
        weights: the weight file that was given, None where each machine finds the published one.
        sha256: hash of the weight file; None where it is not checked.
        features: what is read of the backbone: final, stages or both.
    """

    name: str
    size: int
    weights: str | None = None
    sha256: str | None = None
    features: str = "final"


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows (..., D) scaled to length 1; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return (rows / np.maximum(length, _NORM_FLOOR)).astype(np.float32)


def standardise(
    features: NDArray[np.floating], mean: NDArray[np.float32], std: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return (features - mean) / std, float32 (..., D)."""
    rows = features.astype(np.float32)
    rows -= mean
    rows /= std
    return rows
