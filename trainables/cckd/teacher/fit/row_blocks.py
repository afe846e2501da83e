"""Raw features in blocks of rows, so that fitting needs little memory beside the memory-mapped cache.

iNaturalist 2018 in 8 views has 3.5 million rows of 1280 features. That is 9 GB in half precision on disk, 18 GB for
every float32 copy, and 228 GB for float64 logits of 8,142 classes.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from trainables.cckd.teacher.readout import Readout, standardise

_STD_FLOOR = 1e-6  # a feature with a smaller deviation is constant and keeps its scale

#: Bytes that the arrays of one block may take. The default data sets fit in one block.
BLOCK_BYTES = 2**26

#: Standardised rows of at most so many bytes are kept between passes; larger sets are standardised in every pass.
KEEP_BYTES = 2**30

#: Bytes that results of blocks may take together before they are summed. One thread sums them, in the order of the
#: blocks. A slope of iNaturalist 2018 has 42 MB, so that 25 of them may wait, whatever the number of threads.
WAITING_BYTES = 2**30

#: Products of a probe's pass (rows x features x classes) up to which every view is a row. CIFAR-100-LT in 20 views has
#: 2.8e10, of which a fit makes 80 passes in minutes; ImageNet-LT in 8 views has 1.2e12.
MOST_PRODUCTS = 2**36


_Block = TypeVar("_Block")
_Result = TypeVar("_Result")


def rows_per_image(n_images: int, n_views: int, n_features: int, n_classes: int) -> int:
    """Return how many rows of each image a probe is fitted to: one per view, or one for all views of a large set.

    Args:
        n_images: training images, N, also where a fold leaves some of them out.
        n_views: views of each, V.
        n_features: D.
        n_classes: C.
    """
    return n_views if n_images * n_views * n_features * n_classes <= MOST_PRODUCTS else 1


def blocks(n_rows: int, bytes_per_row: int) -> Iterator[slice]:
    """Cut 0..n_rows into slices of at most BLOCK_BYTES, with at least one row each.

    Args:
        n_rows: number of rows.
        bytes_per_row: bytes of all arrays that are computed from a row of the block.
    """
    size = max(1, BLOCK_BYTES // bytes_per_row)
    return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))


def bytes_per_view(n_features: int, n_classes: int) -> int:
    """Return the bytes that a view takes in a block.

    These are its features in half precision and two float32 copies; in float64 its logits and three arrays like them.
    """
    return 10 * n_features + 32 * n_classes


def image_blocks(
    features: NDArray[np.float16], images: NDArray[np.int64] | None, *, n_classes: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
    """Yield (indices of images (n,), their raw features (n, V, D)), in the order of `images`.

    Args:
        features: raw, (N, V, D); may be memory-mapped.
        images: image indices, int64; None for all.
        n_classes: C, the width of the logits that will be computed from a block.
    """
    n_views, n_features = features.shape[1:]
    chosen = np.arange(len(features)) if images is None else images
    for rows in blocks(len(chosen), n_views * bytes_per_view(n_features, n_classes)):
        yield chosen[rows], features[rows] if images is None else features[chosen[rows]]


class Logits(Protocol):
    """Logits of M images, (M, C), as an array has them, or `ReadoutLogits`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """M and C."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> NDArray[Any]: ...


class ReadoutLogits:
    """The logits of a readout, float32 (M, C): some rows at a time, where all of them would not fit in one block.

    iNaturalist's D_val has 0.8 GB of them. Those of the default data sets are computed once and kept.
    """

    def __init__(self, readout: Readout, features: NDArray[np.float16]) -> None:
        """Prepare without reading.

        Args:
            readout: computes the logits.
            features: raw, (M, D); may be memory-mapped.
        """
        self._readout, self._features = readout, features
        self.shape = len(features), len(readout.weight)
        self._kept: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice, /) -> NDArray[np.float32]:
        if 4 * self.shape[0] * self.shape[1] > BLOCK_BYTES:
            return self._logits(self._features[rows])
        if self._kept is None:
            self._kept = self._logits(self._features)
        return self._kept[rows]

    def _logits(self, features: NDArray[np.float16]) -> NDArray[np.float32]:
        """Return the logits of some images; their float32 features take one block at a time."""
        found = np.empty((len(features), self.shape[1]), np.float32)
        for rows in blocks(len(features), bytes_per_view(features.shape[1], self.shape[1])):
            found[rows] = self._readout.logits(features[rows])
        return found


def pool_threads() -> int:
    """Return the threads that the library of products uses now, which `in_threads` uses too."""
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)


def in_threads(
    function: Callable[[_Block], _Result], blocks: Iterable[_Block], *, result_bytes: int
) -> Iterator[_Result]:
    """Yield `function(block)` in the order of the blocks; each is computed by one thread, several at a time.

    There are as many threads as the library of products has. It uses one meanwhile, so that a result does not depend on
    their number. Between products numpy computes on one core; here these stretches of different blocks overlap.

    Args:
        function: computes the result of a block.
        blocks: the blocks.
        result_bytes: bytes of a result. Where results are so large that those of all threads would exceed
            WAITING_BYTES, fewer blocks are computed at a time, but two at least. The caller may hold one more.
    """
    n_threads = pool_threads()
    most_waiting = min(n_threads + 1, max(2, WAITING_BYTES // result_bytes))
    waiting: deque[Future[_Result]] = deque()
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(n_threads) as threads:
        for block in blocks:
            waiting.append(threads.submit(function, block))
            if len(waiting) == most_waiting:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class StandardRows:
    """Every view of some images as a standardised sample; each pass yields the same blocks."""

    def __init__(
        self,
        features: NDArray[np.float16],
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
        *,
        n_classes: int,
        images: NDArray[np.int64] | None = None,
    ) -> None:
        """Prepare without reading.

        Args:
            features: raw, (N, V, D).
            mean, std: (D,) each.
            n_classes: as for `image_blocks`.
            images: image indices, int64; None for all.
        """
        self._features, self._mean, self._std = features, mean, std
        self._images, self._n_classes = images, n_classes
        n_images = len(features) if images is None else len(images)
        self._n_rows = n_images * features.shape[1]
        self._kept: list[NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        return self._n_rows

    @property
    def n_features(self) -> int:
        """D, the number of features of a row."""
        return int(self._features.shape[-1])

    def __iter__(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield (rows, their standardised features, float32 (n, D))."""
        if self._kept is None and 4 * self._n_rows * self._features.shape[-1] <= KEEP_BYTES:
            self._kept = list(self._read())
        start = 0
        for block in self._read() if self._kept is None else self._kept:
            yield slice(start, start + len(block)), block
            start += len(block)

    def _read(self) -> Iterator[NDArray[np.float32]]:
        for _, raw in image_blocks(self._features, self._images, n_classes=self._n_classes):
            yield standardise(raw, self._mean, self._std).reshape(-1, raw.shape[-1])


def feature_statistics(train_features: NDArray[np.float16]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and deviation (D,), float32, of raw training features (N, V, D) over all views, in one pass.

    Blocks are summed in float64 by the update of Chan, Golub & LeVeque (1983), which loses no digits where the mean is
    large compared with the deviation.
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


def view_means(
    features: NDArray[np.float16], mean: NDArray[np.float32], std: NDArray[np.float32], images: NDArray[np.int64]
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Return the mean standardised view of some images, float16 (n, D), and the views' covariance about it, (D, D).

    Args:
        features: raw, (N, V, D).
        mean, std: (D,) each.
        images: image indices, int64 (n,).
    """
    n_views, n_features = features.shape[1:]
    means, spread = np.empty((len(images), n_features), np.float16), np.zeros((n_features, n_features))
    start = 0
    for _, raw in image_blocks(features, images, n_classes=0):
        standard = standardise(raw, mean, std)
        of_block = standard.mean(axis=1)
        means[start : start + len(raw)] = of_block
        start += len(raw)
        standard -= of_block[:, None]
        flat = standard.reshape(-1, n_features)
        spread += flat.T @ flat
    return means, (spread / (len(images) * n_views)).astype(np.float32)
