"""The teacher's prior p^t(y): what it predicts on average where every class is equally frequent."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax


def teacher_log_prior(val_logits: NDArray[np.float32], val_labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """log p^t: the log of the mean softmax over D_val, every class weighing the same.

    On a balanced D_val this is the plain mean. Classes absent from D_val carry no weight.

    Args:
        val_logits: raw teacher logits z_t, (M, C).
        val_labels: int64 (M,).

    Returns:
        float64 (C,); exp of it sums to 1.
    """
    posterior = np.exp(log_softmax(val_logits.astype(np.float64), axis=1))
    of_class = [posterior[val_labels == class_id].mean(axis=0) for class_id in np.unique(val_labels)]
    return np.log(np.mean(of_class, axis=0))
