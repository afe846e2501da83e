"""The losses of closed_form.py one at a time, as the method's paper writes them; autograd differentiates them."""

import torch
import torch.nn.functional as F
from torch import Tensor


def supervised(logits: Tensor, labels: Tensor, log_own_prior: Tensor, log_set_prior: Tensor) -> Tensor:
    """Cross-entropy of logits (N, C) whose own prior is replaced by the set's; labels int64 (N,) or float (N, C)."""
    return F.cross_entropy(logits + (log_set_prior - log_own_prior), labels)


def cckd(
    estimator: str,
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    student_log_prior: Tensor,
    teacher_log_prior: Tensor,
    log_set_prior: Tensor,
    temperature: float,
) -> Tensor:
    """T^2 KL between corrected log-posteriors: mean over samples, or over classes, which `batch_mass` weighs."""
    student = torch.log_softmax((student_logits + (log_set_prior - student_log_prior)) / temperature, dim=1)
    teacher = torch.log_softmax((teacher_logits + (log_set_prior - teacher_log_prior)) / temperature, dim=1)
    if estimator == "batch_mass":
        mass = teacher.exp().mean(dim=0)
        student, teacher = torch.log_softmax(student, dim=0), torch.log_softmax(teacher, dim=0)
        return temperature**2 * ((teacher.exp() * (teacher - student)).sum(dim=0) * mass).sum()
    if estimator == "batch":
        # Columns become the distributions, so that the mean over rows below is the mean over classes.
        student, teacher = torch.log_softmax(student, dim=0).T, torch.log_softmax(teacher, dim=0).T
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)
