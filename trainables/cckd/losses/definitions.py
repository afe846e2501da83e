"""Distillation without priors: the losses `kd` and `imitation`, each a mean that is zero at agreement.

Shapes: (N, C) logits of N samples over C classes, (N, D) features. The teacher's tensors are detached here, so that no
caller can train through them.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

#: Norms are taken as no less, as torch's cosine similarity does.
SHORTEST = 1e-8


def kd(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(z_t / T) || softmax(z_s / T)), mean over samples (Hinton et al., arXiv 1503.02531).

    Both logits are (N, C), raw. Blind to priors, unlike the class-conditional losses of closed_form.py.
    """
    log_target = torch.log_softmax(teacher_logits.detach() / temperature, dim=1)
    log_guess = torch.log_softmax(student_logits / temperature, dim=1)
    # T^2 keeps the gradient's size about constant over temperatures (Hinton et al., section 2).
    return temperature**2 * F.kl_div(log_guess, log_target, reduction="batchmean", log_target=True)


def imitation(aligned_features: Tensor, *teacher_features: Tensor) -> Tensor:
    """1 - cosine(A h_s, f_t), mean over samples; in [0, 2]. Of several sets: the sum of their means.

    Args:
        aligned_features: the student's features after the alignment layer A, (N, D), one set after the other.
        teacher_features: standardised, a tensor (N_k, D) for each set, the N_k adding up to N.
    """
    loss: Tensor = _MeanCosineDistances.apply(aligned_features, *(target.detach() for target in teacher_features))
    return loss


class _MeanCosineDistances(torch.autograd.Function):
    """Sum over sets of the mean of 1 - cosine, and its gradient in two passes over (N, D).

    Autograd's own chain splits (N, D), divides, multiplies and joins it again: on small images with D = 1280 that took
    longer than the student's largest layer.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, guess: Tensor, *targets: Tensor) -> Tensor:
        loss = guess.new_zeros(())
        kept: list[Tensor] = []
        for rows, target in zip(guess.split([len(target) for target in targets]), targets, strict=True):
            length = torch.linalg.vector_norm(rows, dim=1).clamp_min(SHORTEST)
            both = length * torch.linalg.vector_norm(target, dim=1).clamp_min(SHORTEST)
            cosine = (rows * target).sum(dim=1) / both
            kept += [both, cosine / length.square()]
            loss = loss + (1.0 - cosine.mean())
        ctx.save_for_backward(guess, *targets, *kept)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # d(1 - cos)/dg = -f / (|g| |f|) + cos g / |g|^2
        guess, *rest = ctx.saved_tensors
        n_sets = len(rest) // 3
        targets, kept = rest[:n_sets], rest[n_sets:]
        slope = torch.empty_like(guess)
        sizes = [len(target) for target in targets]
        for k, (out, rows, target) in enumerate(zip(slope.split(sizes), guess.split(sizes), targets, strict=True)):
            both, pull = kept[2 * k], kept[2 * k + 1]
            weight = grad / len(target)
            torch.mul(target, (-weight / both)[:, None], out=out)
            out.addcmul_(rows, (weight * pull)[:, None])
        return slope, *[None] * n_sets
