"""From a backbone's features to the teacher's logits: what all five forms come down to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.bundle.trial_data import TeacherState
from trainables.cckd.teacher.fit.row_blocks import blocks, standardise

_STD_FLOOR = 1e-6  # a feature that never varies is left at its scale
_NORM_FLOOR = 1e-12


@dataclass(frozen=True, eq=False, kw_only=True)
class Readout:
    """A fitted classifier on frozen features.

    Without `scale` it is affine: weight @ standardised features + bias. With it, logits are `scale` times the
    cosines between the projected raw features and the rows of `weight`, whose length is 1.

    Attributes:
        weight, bias: float32 (C, K) and (C,); K is D, or E where there is a projection.
        feature_mean, feature_std: of the raw training features over all views, float32 (D,).
        scale: of the cosines, None for an affine readout.
        projection, offset: from raw features to the space of the cosines, float32 (E, D) and (E,), or None.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    feature_mean: NDArray[np.float32]
    feature_std: NDArray[np.float32]
    scale: float | None = None
    projection: NDArray[np.float32] | None = None
    offset: NDArray[np.float32] | None = None

    def standardise(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Raw features (..., D) to standardised ones, float32."""
        return standardise(features, self.feature_mean, self.feature_std)

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Raw logits z_t, float32 (..., C), of raw features (..., D)."""
        if self.scale is None:
            logits: NDArray[np.float32] = self.standardise(features) @ self.weight.T
            logits += self.bias
            return logits
        place = features.astype(np.float32)
        if self.projection is not None and self.offset is not None:
            place = place @ self.projection.T + self.offset
        return np.float32(self.scale) * (unit(place) @ self.weight.T) + self.bias

    def state(self, *, name: str, size: int, weights: str | None = None, sha256: str | None = None) -> TeacherState:
        """The readout with the backbone it stands on: timm name, input size (pixels), weight file and its hash."""
        return TeacherState(
            name=name,
            size=size,
            weight=self.weight,
            bias=self.bias,
            feature_mean=self.feature_mean,
            feature_std=self.feature_std,
            scale=self.scale,
            projection=self.projection,
            offset=self.offset,
            weights=weights,
            sha256=sha256,
        )


def feature_statistics(train_features: NDArray[np.float16]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation (D,), float32, of raw training features (N, V, D) over all views; in one pass.

    Blocks are summed up in float64 by the update of Chan, Golub & LeVeque (1983), which loses no digits to a mean
    that is large beside the deviation.
    """
    flat = train_features.reshape(-1, train_features.shape[-1])
    n, mean, squares = 0, np.zeros(flat.shape[1]), np.zeros(flat.shape[1])
    for rows in blocks(len(flat), 8 * flat.shape[1]):
        block = flat[rows].astype(np.float64)
        of_block = block.mean(axis=0)
        block -= of_block
        share = len(block) / (n + len(block))
        squares += np.einsum("nd,nd->d", block, block) + (of_block - mean) ** 2 * n * share
        mean += (of_block - mean) * share
        n += len(block)
    std = np.sqrt(squares / n)
    return mean.astype(np.float32), np.where(std > _STD_FLOOR, std, 1.0).astype(np.float32)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (..., D) scaled to length 1; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return (rows / np.maximum(length, _NORM_FLOOR)).astype(np.float32)
