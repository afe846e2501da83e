"""Weights of classes by their effective number of samples."""

from torch import Tensor


def class_weights(counts: Tensor, beta: float) -> Tensor:
    """Return w_c proportional to (1 - beta) / (1 - beta^n_c), scaled so that the C weights sum to C.

    The denominator over 1 - beta is the effective number of samples of a class (Cui et al., "Class-Balanced Loss",
    CVPR 2019). At beta 0 all weights are 1; towards beta 1 they go by 1 / n_c.

    Args:
        counts: training images of each class, n, float64 (C,), each at least 1. In float32 the denominator of a rare
            class would lose three digits at beta 0.9999.
        beta: in [0, 1).
    """
    weights = (1.0 - beta) / (1.0 - beta**counts)
    return weights * (len(counts) / weights.sum())
