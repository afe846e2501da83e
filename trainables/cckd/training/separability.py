"""How far apart the classes lie in a student's features, and how far training features lie from test features.

A student of a long tail memorises its few tail images: their features lie elsewhere than the features of new images of
the class ("feature deviation", Ye et al. 2020, arXiv 2001.01385). Class means and mean squares suffice for both
numbers, so features are summed batch by batch and not kept.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Rows of the table of distances between class means that are in memory at a time.
_BLOCK = 512


class ClassMoments(NamedTuple):
    """For each class: `n` (C,) samples, the `mean` (C, D) of their features, and `square` (C,), the mean of |h|^2.

    A class without samples has NaN for both.
    """

    n: NDArray[np.int64]
    mean: NDArray[np.float64]
    square: NDArray[np.float64]


def class_moments(batches: Iterable[NDArray[np.float32]], labels: NDArray[np.int64], n_classes: int) -> ClassMoments:
    """Return the class moments of features in batches (B, D); `labels` (N,) belong to all of them, N at least 1."""
    n = np.bincount(labels, minlength=n_classes)
    total, square, start = np.zeros((n_classes, 1)), np.zeros(n_classes), 0
    for batch in batches:
        features, of = batch.astype(np.float64), labels[start : start + len(batch)]
        total = total + np.zeros((n_classes, features.shape[1]))
        np.add.at(total, of, features)
        np.add.at(square, of, (features**2).sum(axis=1))
        start += len(batch)
    seen = np.where(n > 0, n, np.nan)
    return ClassMoments(n, total / seen[:, None], square / seen)


def separability(train: ClassMoments, test: ClassMoments) -> dict[str, list[float | None]]:
    """Return three distances per class, in units of the features; None for a class without samples.

    deviation: distance between the class's mean over training images and over test images.
    intra: root mean square distance of its test images from their mean.
    inter: mean distance of its test mean from the test means of the other classes.
    """
    spread = np.sqrt(np.maximum(test.square - (test.mean**2).sum(axis=1), 0.0))
    found = {
        "deviation": np.linalg.norm(train.mean - test.mean, axis=1),
        "intra": spread,
        "inter": _mean_distances(test.mean),
    }
    return {name: [float(value) if np.isfinite(value) else None for value in values] for name, values in found.items()}


def _mean_distances(means: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.flatnonzero(~np.isnan(means).any(axis=1))
    found = np.full(len(means), np.nan)
    if known.size < 2:
        return found
    others = means[known]
    norms = (others**2).sum(axis=1)
    for start in range(0, known.size, _BLOCK):
        rows = others[start : start + _BLOCK]
        squared = (rows**2).sum(axis=1)[:, None] + norms - 2 * rows @ others.T
        squared[np.arange(len(rows)), start + np.arange(len(rows))] = 0.0  # exactly, without a rounding error
        found[known[start : start + _BLOCK]] = np.sqrt(np.maximum(squared, 0.0)).sum(axis=1) / (known.size - 1)
    return found
