"""Imitation of the teacher's features by the student's, whose alignment layer A maps them to the teacher's width.

`imitation` takes the aligned features A h + b. `imitation_unaligned` computes the same without forming them. On small
images A h is the largest matrix of a step: (128, 1280) where the student's features are (128, 64). Cosine and gradient
need it only in products: with G = A^T A, |A h + b|^2 = h G h + 2 h A^T b + b^2.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

#: Smallest norm; a smaller one is replaced by it, as in torch's cosine similarity.
SHORTEST = 1e-8


class Unaligned(NamedTuple):
    """Student features (N, D_s) and the alignment layer, weight (D, D_s) and bias (D,)."""

    features: Tensor
    weight: Tensor
    bias: Tensor


def imitation(aligned_features: Tensor, *teacher_features: Tensor) -> Tensor:
    """1 - cosine(A h_s, f_t), mean over samples; in [0, 2]. For several sets: the mean of their means.

    Args:
        aligned_features: the student's features after the alignment layer A, (N, D), one set after the other.
        teacher_features: standardised, one tensor (N_k, D) per set; the N_k add up to N. They are detached.
    """
    loss: Tensor = _MeanCosineDistances.apply(aligned_features, *(target.detach() for target in teacher_features))
    return loss


def imitation_unaligned(unaligned: Unaligned, targets: Tensor, lengths: Tensor, shares: Tensor) -> Tensor:
    """Return what `imitation` returns for A h + b: the mean over sets of the mean of 1 - cosine.

    Args:
        unaligned: h, A and b. This is fast where h has fewer columns than rows.
        targets: the teacher's features f (N, D).
        lengths: the norms of `targets` (N,), not 0.
        shares: 1 over the number of sets and the size of each sample's set (N,).
    """
    loss: Tensor = _UnalignedCosineDistances.apply(*unaligned, targets, lengths, shares)
    return loss


class _MeanCosineDistances(torch.autograd.Function):
    """Mean over sets of the mean of 1 - cosine, and its gradient in two passes over (N, D).

    Autograd's own chain splits (N, D), divides, multiplies and joins it again. On small images with D = 1280 that took
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
            loss = loss + (1.0 - cosine.mean()) / len(targets)
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
            weight = grad / (n_sets * len(target))
            torch.mul(target, (-weight / both)[:, None], out=out)
            out.addcmul_(rows, (weight * pull)[:, None])
        return slope, *[None] * n_sets


class _UnalignedCosineDistances(torch.autograd.Function):
    """As many multiplications as three products of (N, D) by (D, D_s), and no other pass over (N, D)."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, lengths: Tensor, shares: Tensor
    ) -> Tensor:
        seen = targets @ weight  # A^T f, one row per sample
        gram, tilt = weight.t() @ weight, weight.t() @ bias
        half = torch.addmm(tilt, features, gram)  # A^T (A h + b)
        dot = (seen * features).sum(dim=1).add_(torch.mv(targets, bias))
        square = ((half + tilt) * features).sum(dim=1).add_(torch.dot(bias, bias)).clamp_min_(SHORTEST**2)
        push = shares / (square.sqrt() * lengths)
        cosine = dot * push
        ctx.save_for_backward(features, weight, bias, targets, seen, half, push, cosine / square)
        return shares.sum() - cosine.sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # d(1 - cos)/dg = -f / (|g| |f|) + cos g / |g|^2 with g = A h + b: -push f + pull g, shares included.
        features, weight, bias, targets, seen, half, push, pull = ctx.saved_tensors
        push, pull = (push * grad)[:, None], (pull * grad)[:, None]
        by_features = (half * pull).addcmul_(seen, push, value=-1.0)
        pulled = features * pull
        by_weight = torch.outer(bias, pulled.sum(dim=0)).addmm_(weight, pulled.t() @ features)
        by_weight.addmm_(targets.t(), features * push, alpha=-1.0)
        by_bias = torch.addmv(bias * pull.sum(), weight, pulled.sum(dim=0))
        by_bias.addmv_(targets.t(), push[:, 0], alpha=-1.0)
        return by_features, by_weight, by_bias, None, None, None
