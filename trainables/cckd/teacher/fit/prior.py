"""The teacher's prior p^t(y): what it predicts on average where every class is equally frequent.

There are four ways; in each, every class has equal weight:
val          mean softmax(z_t) over D_val (the reference)
train        the same over the training views: it needs no D_val, but reads a fitted teacher where it was fitted
uniform      1/C
fixed_point  softmax(b) of the b for which the mean of softmax(z_t - b) over D_val is uniform; without it the teacher
             prefers no class
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from trainables.cckd.teacher.fit.row_blocks import Logits, blocks


def teacher_log_prior(logits: Logits, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return log p^t: the log of the mean softmax over a set, with equal weight for every class.

    On a balanced set this is the plain mean. Absent classes have no weight.

    Args:
        logits: raw teacher logits z_t, (M, C).
        labels: int64 (M,).

    Returns:
        float64 (C,); its exponentials sum to 1.
    """
    share = _balanced_shares(labels)
    prior = np.zeros(logits.shape[1])
    for rows in _soften(logits):
        prior += share[rows] @ np.exp(log_softmax(logits[rows].astype(np.float64), axis=1))
    return np.log(prior)


def log_prior_of_views(
    chunks: Iterable[tuple[NDArray[np.floating], NDArray[np.int64]]], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return `teacher_log_prior` over views that come in chunks of logits (n, V, C) and labels of images (n,).

    Args:
        chunks: together they have every image once.
        labels: labels of all images, int64 (N,).
    """
    counts = np.bincount(labels)
    sums = [
        (1.0 / counts[of_chunk]) @ np.exp(log_softmax(logits.astype(np.float64), axis=-1)).mean(axis=1)
        for logits, of_chunk in chunks
    ]
    return np.log(np.sum(sums, axis=0) / np.count_nonzero(counts))


def fixed_point_log_prior(logits: Logits, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return log_softmax of the b whose removal makes the teacher's mean posterior uniform.

    b minimises the convex mean of logsumexp(z_t - b) + mean(b), whose gradient is 1/C minus that mean posterior.

    Args:
        logits: raw teacher logits z_t, (M, C).
        labels: int64 (M,), every class present (`check.check_fit`): a class without images has no fixed point.
    """
    from scipy.optimize import minimize  # takes as long as Ray itself to import; a cached fit does without it

    n_classes = logits.shape[1]
    assert len(np.unique(labels)) == n_classes, "every class must be in D_val"
    share = _balanced_shares(labels)

    def loss_and_gradient(beta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        loss, slope = beta.mean(), np.full(n_classes, 1 / n_classes)
        for rows in _soften(logits):
            shifted = logits[rows] - beta
            total = logsumexp(shifted, axis=1)
            loss += share[rows] @ total
            slope -= share[rows] @ np.exp(shifted - total[:, None])
        return float(loss), slope

    start = teacher_log_prior(logits, labels)
    options = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-8 / n_classes}
    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options=options)
    return np.asarray(log_softmax(found.x))


def smooth(log_prior: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Mix a share (a fraction) of the uniform prior into a prior (C,)."""
    return np.log((1 - share) * np.exp(log_prior) + share / len(log_prior))


def distance_from_labels(log_prior: NDArray[np.float64], val_labels: NDArray[np.int64]) -> float:
    """Return the total variation, 0 to 1, between a prior (C,) and D_val's, with equal weight per present class."""
    true = np.bincount(val_labels, weights=_balanced_shares(val_labels), minlength=len(log_prior))
    return float(np.abs(np.exp(log_prior) - true).sum() / 2)


def _soften(logits: Logits) -> Iterator[slice]:
    """Yield the rows of logits (M, C) that become float64 posteriors at a time."""
    return blocks(len(logits), 32 * logits.shape[1])


def _balanced_shares(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weight of each sample (M,): they sum to 1, and to the same number in every present class."""
    counts = np.bincount(labels)
    return 1.0 / counts[labels] / np.count_nonzero(counts)
