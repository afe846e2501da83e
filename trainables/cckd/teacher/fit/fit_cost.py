"""What the fit of a linear probe will take: its products, and the seconds of this process, from a timed sample.

A pass of L-BFGS over n rows of D features and C classes has two products of n D C multiply-adds. Where an image is one
row, two of C^2 D and one of C D^2 come to it, because views in expectation compare each class with each other.
"""

from time import perf_counter

import numpy as np

from trainables.cckd.teacher.fit.row_blocks import StandardRows, rows_per_image
from trainables.cckd.teacher.fit.softmax_regression import Affine, SoftmaxRegression

#: Passes of a whole fit, and of the fit to all folds but one: where every view is a row, and where an image is one. The
#: latter goes to weaker strengths and to a finer tolerance.
_PASSES, _PASSES_OF_MEANS = (80, 40), (220, 80)
#: Predictions of all rows: one per strength and one of the chosen one.
_PREDICTIONS = 8
#: The sample's rows and most classes, and how often it is timed.
_SAMPLE_ROWS, _SAMPLE_CLASSES, _TURNS = 1024, 1000, 3


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
    passes = of_all + of_others * max(n_folds - 1, 0)  # each of K folds has (K - 1) / K of the images
    of_rows = n_features * n_classes
    predicted = (_PREDICTIONS * n_rows + n_images * n_views) * of_rows
    return passes * pass_products(n_rows, n_features, n_classes, of_means=of_means) + predicted


def pass_products(n_rows: int, n_features: int, n_classes: int, *, of_means: bool) -> float:
    """Return the multiply-adds of one pass."""
    of_pairs = 2.0 * n_classes**2 * n_features + 1.0 * n_classes * n_features**2 if of_means else 0.0
    return 2.0 * n_rows * n_features * n_classes + of_pairs


def products_per_second(n_features: int, n_classes: int) -> float:
    """Return the multiply-adds per second of this process, from passes over a sample of rows. It takes a second."""
    n_classes = min(n_classes, _SAMPLE_CLASSES)
    rng = np.random.default_rng(0)
    labels = np.sort(np.arange(_SAMPLE_ROWS) % n_classes)
    features = rng.standard_normal((_SAMPLE_ROWS, 1, n_features), np.float32).astype(np.float16)
    one = np.ones(n_features, np.float32)
    rows = StandardRows(features, 0 * one, one, n_classes=n_classes)
    regression = SoftmaxRegression(rows, labels, n_classes, 1.0, np.diag(one))
    weight = rng.standard_normal((n_classes, n_features), np.float32)
    weight /= 100
    point = Affine(weight, np.zeros(n_classes, np.float32))
    regression.loss_and_gradient(point)  # standardises the rows
    seconds = []
    for _ in range(_TURNS):
        began = perf_counter()
        regression.loss_and_gradient(point)
        seconds.append(perf_counter() - began)
    return pass_products(_SAMPLE_ROWS, n_features, n_classes, of_means=True) / float(np.median(seconds))
