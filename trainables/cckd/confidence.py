"""How far a classifier's confidence lies from its accuracy: sums per bin of confidence, and their error."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Number of bins. They have equal widths and cover 0 to 1.
N_BINS = 15


class ConfidenceBins(NamedTuple):
    """Sums over the samples of each bin of confidence, (N_BINS,) each. Bin b covers (b / N_BINS, (b + 1) / N_BINS].

    `n` counts the samples, `confidence` is the sum of their confidences, `correct` counts those predicted right.
    """

    n: tuple[int, ...]
    confidence: tuple[float, ...]
    correct: tuple[int, ...]


def top_confidence(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the largest softmax probability of each row of `logits` (N, C), float64 (N,)."""
    wide = logits.astype(np.float64)
    return 1 / np.exp(wide - wide.max(axis=1, keepdims=True)).sum(axis=1)


def confidence_bins(confidence: ArrayLike, right: ArrayLike) -> ConfidenceBins:
    """Sum samples by bin of confidence.

    Args:
        confidence: probability that each sample's predicted class has, (N,) in [0, 1].
        right: whether each prediction is right, (N,).

    Raises:
        ValueError: lengths that differ.
    """
    sure, hit = np.asarray(confidence, np.float64), np.asarray(right, bool)
    if sure.shape != hit.shape or sure.ndim != 1:
        raise ValueError(f"confidence and right must both be (N,); got {sure.shape} and {hit.shape}")
    edges = np.linspace(0, 1, N_BINS + 1)
    bins = (np.searchsorted(edges, sure) - 1).clip(0, N_BINS - 1)
    return ConfidenceBins(
        tuple(np.bincount(bins, minlength=N_BINS).tolist()),
        tuple(np.bincount(bins, sure, N_BINS).tolist()),
        tuple(np.bincount(bins[hit], minlength=N_BINS).tolist()),
    )


def expected_calibration_error(bins: ConfidenceBins) -> float:
    """Return the gap between mean confidence and accuracy of a bin, averaged over samples; NaN without samples.

    It is sum_b (n_b / N) |correct_b / n_b - confidence_b / n_b| (Naeini et al. 2015; Guo et al. 2017, arXiv
    1706.04599, with 15 bins), which is the sum of |correct_b - confidence_b| over N.
    """
    gaps = np.abs(np.asarray(bins.correct, np.float64) - np.asarray(bins.confidence, np.float64))
    return float(gaps.sum() / sum(bins.n)) if sum(bins.n) else float("nan")
