"""Divergences that are split into a part between groups of classes and a part within each group.

For one partition of the classes, KL(t || s) is KL between the groups' probabilities plus, for each group, its
probability in t times KL within it. These methods weigh the parts anew.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Parts(NamedTuple):
    """T^2 times the divergence `between` groups and `within` them."""

    between: Tensor
    within: Tensor


def dkd(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, temperature: float) -> Parts:
    """Return both parts of decoupled distillation for each sample, (N,) each.

    `between`: T^2 KL of (p_y, 1 - p_y), the target against all other classes. `within`: T^2 KL among the other classes,
    each distribution normalised over them. between + (1 - p_y of the teacher) within is classic distillation.
    (Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022; formula as in their public code.)

    Args:
        student_logits, teacher_logits: raw, (N, C).
        labels: int64 (N,).
        temperature: T.
    """
    (guess, guess_within), (target, target_within) = (
        _of_target(logits / temperature, labels[:, None]) for logits in (student_logits, teacher_logits.detach())
    )
    square = temperature**2
    return Parts(square * _divergence(target, guess), square * _divergence(target_within, guess_within))


def ltkd(student_logits: Tensor, teacher_logits: Tensor, groups: Sequence[Tensor], temperature: float) -> Parts:
    """Return both parts of long-tailed distillation, scalars.

    `between`: T^2 KL(p || s), mean over samples, of the groups' probabilities. The teacher's are divided by their sums
    over the batch first and normalised again, so that no group is favoured over the batch. `within`: T^2 times the sum
    over groups of KL within the group, mean over samples; every group counts the same, whatever its probability.

    "Biased Teacher, Balanced Student" (CVPR 2026, arXiv 2506.18496). The formula is second-hand; how the group sums
    are rebalanced is our reading.

    Args:
        student_logits, teacher_logits: raw, (N, C).
        groups: class ids of each group, int64, a partition of the classes.
        temperature: T.
    """
    guess, target = (
        torch.log_softmax(logits / temperature, dim=1) for logits in (student_logits, teacher_logits.detach())
    )
    guess_of, target_of = (_of_groups(log_p, groups) for log_p in (guess, target))
    rebalanced = torch.log_softmax(target_of - torch.logsumexp(target_of, dim=0), dim=1)
    within = [
        _divergence(*(torch.log_softmax(log_p.index_select(1, ids), dim=1) for log_p in (target, guess))).mean()
        for ids in groups
    ]
    square = temperature**2
    return Parts(square * _divergence(rebalanced, guess_of).mean(), square * torch.stack(within).sum())


def _of_target(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return log (p_y, 1 - p_y), (N, 2), and the log-distribution over the other classes with 0 at y, (N, C).

    `label` is y, (N, 1).
    """
    log_p = torch.log_softmax(logits, dim=1)
    is_target = torch.zeros_like(log_p, dtype=torch.bool).scatter(1, label, True)
    others = log_p.masked_fill(is_target, -torch.inf)
    both = torch.cat([log_p.gather(1, label), torch.logsumexp(others, dim=1, keepdim=True)], dim=1)
    # A 0 at y for student and teacher alike adds nothing to a divergence, and keeps inf - inf out of its gradient.
    return both, torch.log_softmax(others, dim=1).masked_fill(is_target, 0.0)


def _of_groups(log_p: Tensor, groups: Sequence[Tensor]) -> Tensor:
    return torch.stack([torch.logsumexp(log_p.index_select(1, ids), dim=1) for ids in groups], dim=1)


def _divergence(log_target: Tensor, log_guess: Tensor) -> Tensor:
    return (log_target.exp() * (log_target - log_guess)).sum(dim=1)
