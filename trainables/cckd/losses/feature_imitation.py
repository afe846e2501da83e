"""Imitation of the teacher's features without ever forming the aligned ones.

A h_s of all samples is the largest matrix of a step on small images: (128, 1280) where the student's features are
(128, 64). Cosine and gradient need it only in products: with G = A^T A, |A h + b|^2 = h G h + 2 h A^T b + b^2.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from trainables.cckd.losses.definitions import SHORTEST


class Unaligned(NamedTuple):
    """Student features (N, D_s) and the layer that is to align them, weight (D, D_s) and bias (D,)."""

    features: Tensor
    weight: Tensor
    bias: Tensor


def imitation(unaligned: Unaligned, targets: Tensor, lengths: Tensor, shares: Tensor) -> Tensor:
    """What losses.imitation returns for A h + b: the sum over sets of the mean of 1 - cosine.

    Args:
        unaligned: h, A and b; fast where h has fewer columns than rows.
        targets: the teacher's features f (N, D).
        lengths: their norms (N,), not 0.
        shares: 1 over the size of each sample's set (N,).
    """
    loss: Tensor = _MeanCosineDistances.apply(*unaligned, targets, lengths, shares)
    return loss


class _MeanCosineDistances(torch.autograd.Function):
    """Multiplications as three of (N, D) by (D, D_s) take them in all, but no pass over (N, D) beside them."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, lengths: Tensor, shares: Tensor
    ) -> Tensor:
        seen = targets @ weight  # A^T f, a row a sample
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
