"""Soft labels weighed sample by sample, by how far the student is behind the teacher."""

import torch
import torch.nn.functional as F
from torch import Tensor

#: Added to the teacher's cross-entropy before it divides, as in the public code.
SMALLEST = 1e-7


def wsl(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """T^2 mean_i w_i H(softmax(z_t / T), softmax(z_s / T)) with the cross-entropy H; `lag_weights` gives w.

    Weighted soft labels (Zhou et al., "Rethinking Soft Labels for Knowledge Distillation", ICLR 2021; formula as in
    their public code). H differs from KL by the teacher's entropy, so the loss is not zero at agreement.

    Args:
        student_logits, teacher_logits: raw, (N, C).
        labels: int64 (N,).
        temperature: T.
    """
    target = torch.softmax(teacher_logits.detach() / temperature, dim=1)
    log_guess = torch.log_softmax(student_logits / temperature, dim=1)
    weights = lag_weights(student_logits, teacher_logits, labels)
    return temperature**2 * (weights * -(target * log_guess).sum(dim=1)).mean()


def lag_weights(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """Return w = 1 - exp(-CE_s / CE_t) in [0, 1), (N,), without a gradient. Rounding can make it 1.

    CE_s and CE_t are the cross-entropies of student and teacher with the label at temperature 1. A sample that the
    student knows better than the teacher does gets a small weight.
    """
    student, teacher = (
        F.cross_entropy(logits.detach(), labels, reduction="none") for logits in (student_logits, teacher_logits)
    )
    return -torch.expm1(-student / (teacher + SMALLEST))
