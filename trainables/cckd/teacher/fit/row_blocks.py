"""Raw features a block of rows at a time, so that fitting needs little memory beside the memory-mapped cache.

iNaturalist 2018 in 8 views has 3.5 million rows of 1280 features: 9 GB in half precision on disk, 18 GB for every
float32 copy, 228 GB for their float64 logits of 8,142 classes.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

#: Bytes a block's own arrays may take. The default data sets fit in one block.
BLOCK_BYTES = 2**26

#: Standardised rows up to so many bytes are kept between passes; larger sets are read and standardised at each.
KEEP_BYTES = 2**30


def blocks(n_rows: int, bytes_per_row: int) -> Iterator[slice]:
    """Cut 0..n_rows into slices of at most BLOCK_BYTES, at least a row each.

    Args:
        n_rows: rows in all.
        bytes_per_row: of everything that is made of a row while its block is worked on.
    """
    size = max(1, BLOCK_BYTES // bytes_per_row)
    return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))


def image_blocks(
    features: NDArray[np.float16], images: NDArray[np.int64] | None, *, n_classes: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
    """Yield (indices of images (n,), their raw features (n, V, D)), in the order of `images`.

    Args:
        features: raw, (N, V, D); read where it lies.
        images: which, int64; all of them where None.
        n_classes: C, of the logits that a block's rows will be given.
    """
    n_views, n_features = features.shape[1:]
    chosen = np.arange(len(features)) if images is None else images
    # Half precision, two float32 copies of the features; logits and three more arrays of their size in float64.
    for rows in blocks(len(chosen), n_views * (10 * n_features + 32 * n_classes)):
        yield chosen[rows], features[rows] if images is None else features[chosen[rows]]


class StandardRows:
    """Every view of some images as a standardised sample; each pass gives the same blocks."""

    def __init__(
        self,
        features: NDArray[np.float16],
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
        *,
        n_classes: int,
        images: NDArray[np.int64] | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            features: raw, (N, V, D).
            mean, std: (D,) each.
            n_classes: as for `image_blocks`.
            images: which, int64; all of them where None.
        """
        self._features, self._mean, self._std = features, mean, std
        self._images, self._n_classes = images, n_classes
        n_images = len(features) if images is None else len(images)
        self._n_rows = n_images * features.shape[1]
        self._kept: list[NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        return self._n_rows

    def __iter__(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield (which rows, their standardised features, float32 (n, D))."""
        if self._kept is None and 4 * self._n_rows * self._features.shape[-1] <= KEEP_BYTES:
            self._kept = list(self._read())
        start = 0
        for block in self._read() if self._kept is None else self._kept:
            yield slice(start, start + len(block)), block
            start += len(block)

    def _read(self) -> Iterator[NDArray[np.float32]]:
        for _, raw in image_blocks(self._features, self._images, n_classes=self._n_classes):
            yield standardise(raw, self._mean, self._std).reshape(-1, raw.shape[-1])


def standardise(
    features: NDArray[np.floating], mean: NDArray[np.float32], std: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(features - mean) / std, float32 (..., D)."""
    rows = features.astype(np.float32)
    rows -= mean
    rows /= std
    return rows
