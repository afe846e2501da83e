"""Per-class counts, and the rates computed from them. A rate over no samples is NaN, never 0."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainables.cckd.records import ClassCounts


class GroupAccuracy(NamedTuple):
    """Mean recall of a group of classes: `value` (NaN where n is 0) over its `n` classes with samples."""

    value: float
    n: int


def count_classes(predicted: ArrayLike, labels: ArrayLike, n_classes: int) -> ClassCounts:
    """Count the samples of each class, and how many of them were predicted right.

    Args:
        predicted: predicted class ids, integers (N,).
        labels: true class ids, integers (N,) in 0..C-1.
        n_classes: C.

    Raises:
        ValueError: lengths that differ, or labels outside 0..C-1.
    """
    answers, truth = np.asarray(predicted, np.int64), np.asarray(labels, np.int64)
    if answers.shape != truth.shape or truth.ndim != 1:
        raise ValueError(f"predicted and labels must both be (N,); got {answers.shape} and {truth.shape}")
    if truth.size and (truth.min() < 0 or truth.max() >= n_classes):
        raise ValueError(f"labels must lie in 0..{n_classes - 1}; got {truth.min()}..{truth.max()}")
    seen = np.bincount(truth, minlength=n_classes)
    correct = np.bincount(truth[answers == truth], minlength=n_classes)
    return ClassCounts(tuple(correct.tolist()), tuple(seen.tolist()))


def count_pairs(predicted: ArrayLike, labels: ArrayLike) -> list[list[int]]:
    """Return the confusion matrix without its zeros: rows [true class, predicted class, n], ascending.

    N samples give at most N rows, a full matrix of C classes has C x C entries. All are plain integers, ready for a
    Ray report.
    """
    pairs = np.stack([np.asarray(labels, np.int64), np.asarray(predicted, np.int64)], axis=1)
    found, n = np.unique(pairs, axis=0, return_counts=True)
    return np.column_stack([found, n]).tolist()


def recalls(counts: ClassCounts) -> NDArray[np.float64]:
    """Return the share of each class's samples that were right, float64 (C,); NaN for a class without samples."""
    correct, seen = np.asarray(counts.correct, np.float64), np.asarray(counts.seen, np.float64)
    return np.divide(correct, seen, out=np.full_like(correct, np.nan), where=seen > 0)


def accuracy(counts: ClassCounts) -> float:
    """Return the share of all samples that were right; NaN without samples."""
    return sum(counts.correct) / sum(counts.seen) if sum(counts.seen) else float("nan")


def balanced_accuracy(counts: ClassCounts) -> float:
    """Return the mean recall over the classes with samples; NaN without any."""
    return group_accuracy(counts, range(len(counts.seen))).value


def worst_recall(counts: ClassCounts) -> float:
    """Return the smallest recall of a class with samples; NaN without any."""
    known = _known_recalls(counts)
    return float(known.min()) if known.size else float("nan")


def harmonic_mean(counts: ClassCounts) -> float:
    """Return the harmonic mean of the recalls of the classes with samples, 0 where one of them is 0; NaN without any.

    LIFT prints it with each recall raised to at least 1e-5, which lifts its 0 to at most C x 1e-5.
    """
    known = _known_recalls(counts)
    if not known.size:
        return float("nan")
    return float(known.size / (1 / known).sum()) if known.all() else 0.0


def group_accuracy(counts: ClassCounts, class_ids: Iterable[int]) -> GroupAccuracy:
    """Return the mean recall over the classes of `class_ids` that have samples."""
    of_group = recalls(counts)[list(class_ids)]
    known = of_group[~np.isnan(of_group)]
    return GroupAccuracy(float(known.mean()) if known.size else float("nan"), int(known.size))


def _known_recalls(counts: ClassCounts) -> NDArray[np.float64]:
    of_class = recalls(counts)
    return of_class[~np.isnan(of_class)]
