"""Cross-entropy whose logits are scaled or shifted class by class before it is taken; no teacher."""

import torch
import torch.nn.functional as F
from torch import Tensor


def vs(logits: Tensor, labels: Tensor, counts: Tensor, *, gamma: float, tau: float) -> Tensor:
    """CE(z (n / n_max)^gamma + tau log p_tr, y), mean over samples; p_tr = n / sum n.

    Vector scaling (Kini et al., "Label-Imbalanced and Group-Sensitive Classification under Overparameterization",
    NeurIPS 2021; formula as in public code). At gamma 0 this is logit adjustment of strength tau. The factor shrinks
    the logits of rare classes in training, so that training has to enlarge them. Prediction uses the raw logits.

    Args:
        logits: the student's raw logits z, (N, C).
        labels: int64 (N,).
        counts: training images of each class, n, (C,).
        gamma: >= 0.
        tau: >= 0.
    """
    scale = (counts / counts.max()) ** gamma
    shift = tau * torch.log(counts / counts.sum())
    return F.cross_entropy(logits * scale.to(logits.dtype) + shift.to(logits.dtype), labels)


def ldam(
    logits: Tensor, labels: Tensor, counts: Tensor, *, largest: float, scale: float, weights: Tensor | None = None
) -> Tensor:
    """CE(s (cos - m_y 1_y), y) with m_c = largest (n_min / n_c)^(1/4): the label's cosine loses a margin.

    Label-distribution-aware margins (Cao et al., NeurIPS 2019; formula as in their public code).
    The rarest class has the largest margin.

    Args:
        logits: s times the cosines of features and class weights, (N, C), as a cosine classifier returns them.
        labels: int64 (N,).
        counts: training images of each class, n, (C,).
        largest: the margin of the rarest class, in units of a cosine, >= 0.
        scale: s, > 0.
        weights: (C,); the mean over samples is then weighed by the label's weight. None for a plain mean.
    """
    taken = (scale * largest * (counts.min() / counts) ** 0.25).to(logits.dtype)[labels]
    shifted = logits.scatter_add(1, labels[:, None], -taken[:, None])
    return F.cross_entropy(shifted, labels, None if weights is None else weights.to(logits.dtype))


def deferred(weights: Tensor, progress: Tensor, start: float) -> Tensor:
    """Return `weights` (C,) where `progress` has reached `start`, and 1 for every class before that.

    Deferred re-weighting (Cao et al., NeurIPS 2019).

    Args:
        weights: (C,).
        progress: share of the training that is done, a scalar on the device. A tensor decides, not Python: a recorded
            step then follows it.
        start: in [0, 1].
    """
    return torch.where(progress >= start, weights, torch.ones_like(weights))
