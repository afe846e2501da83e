"""What the fit of a linear probe will take: its products, and the seconds of this process, from a timed sample.

A pass of L-BFGS over n rows of D features and C classes has two products of n D C multiply-adds. Where an image is one
row, views in expectation compare each class with each other. Then a pass also has two products of C^2 D multiply-adds
and one of C D^2.
"""

from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.teacher.fit.row_blocks import blocks, bytes_per_view, in_threads, pool_threads, rows_per_image
from trainables.cckd.teacher.fit.softmax_regression import BlockSums, block_sums

#: Passes of a whole fit, and of the fit to all folds but one: where every view is a row, and where an image is one. The
#: latter has more strengths, and each fold goes along them again. All are estimates, rather too large: an iteration is
#: a pass or a little more. `python -m benchmarks.large_fit --small` prints the iterations where an image is one row.
_PASSES, _PASSES_OF_MEANS = (80, 40), (120, 100)
#: Predictions of all rows: one per strength, and one of the fit to the end.
_PREDICTIONS, _PREDICTIONS_OF_MEANS = 8, 11
#: The sample's blocks per thread, their most rows, and how often they are timed; a first turn is not.
_BLOCKS_PER_THREAD, _MOST_ROWS, _TURNS = 2, 2000, 3


def fit_products(n_images: int, n_views: int, n_features: int, n_classes: int, *, n_folds: int = 0) -> float:
    """Return the multiply-adds of the fit.

    Args:
        n_images: training images, N.
        n_views: views of each, V.
        n_features: D.
        n_classes: C.
        n_folds: of out-of-fold targets; 0 where there are none.
    """
    n_rows = n_images * rows_per_image(n_images, n_views, n_features, n_classes)
    of_means = n_rows == n_images and n_views > 1
    of_all, of_others = _PASSES_OF_MEANS if of_means else _PASSES
    of_passes = of_all * pass_products(n_rows, n_features, n_classes, of_means=of_means)
    if n_folds:  # K fits, each to (K - 1) / K of the images
        of_fold = pass_products(n_rows * (1 - 1 / n_folds), n_features, n_classes, of_means=of_means)
        of_passes += n_folds * of_others * of_fold
    of_rows = n_features * n_classes
    n_predictions = _PREDICTIONS_OF_MEANS if of_means else _PREDICTIONS
    predicted = (n_predictions * n_rows + n_images * n_views) * of_rows
    return of_passes + predicted


def pass_products(n_rows: float, n_features: int, n_classes: int, *, of_means: bool) -> float:
    """Return the multiply-adds of one pass."""
    of_pairs = 2.0 * n_classes**2 * n_features + 1.0 * n_classes * n_features**2 if of_means else 0.0
    return 2.0 * n_rows * n_features * n_classes + of_pairs


def products_per_second(n_features: int, n_classes: int) -> float:
    """Return the multiply-adds per second of this process, from some blocks of rows, computed as in a fit.

    It takes a second or two. Every thread has blocks to compute. Blocks have the size that they would have: with many
    classes they are short and slower.
    """
    rows = next(blocks(_MOST_ROWS, bytes_per_view(n_features, n_classes)))
    rng = np.random.default_rng(0)
    block = rng.standard_normal((rows.stop, n_features), np.float32)
    weight = rng.standard_normal((n_classes, n_features), np.float32)
    weight /= 100
    labels, shift = np.zeros(rows.stop, np.int64), np.zeros(n_classes, np.float32)
    of_pairs, slope = np.zeros((1, n_classes), np.float32), np.zeros_like(weight)
    n_blocks = _BLOCKS_PER_THREAD * pool_threads()

    def of_block(one: NDArray[np.float32]) -> BlockSums:
        return block_sums(one, labels, weight, shift, of_pairs)

    seconds = []
    for _ in range(1 + _TURNS):
        began = perf_counter()
        for sums in in_threads(of_block, [block] * n_blocks, result_bytes=slope.nbytes):
            slope += sums.slope
        seconds.append(perf_counter() - began)
    return n_blocks * pass_products(rows.stop, n_features, n_classes, of_means=False) / float(np.median(seconds[1:]))
