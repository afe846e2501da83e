"""BatchNorm of K trials as one of K times the channels.

torch.vmap's own rule fails on CUDA: it asks a batched tensor for its memory format, and under autocast it wants running
statistics in bfloat16 (seen with torch 2.11).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def fused_batch_norm(
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`torch.nn.functional.batch_norm` inside `torch.vmap`, over statistics and weights that are all batched."""
    normalised: Tensor = _Folded.apply(images, running_mean, running_var, weight, bias, training, momentum, eps)
    return normalised


class _Folded(torch.autograd.Function):
    """Only its rule for vmap is ever run; gradients are those of what the rule calls."""

    @staticmethod
    def forward(*args: Any) -> Tensor:
        return F.batch_norm(*args)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], images: Tensor, *args: Any) -> tuple[Tensor, int]:
        flat = [_flat(each, dim) for each, dim in zip(args[:4], in_dims[1:5], strict=True)]
        if in_dims[0] is None:
            images = images.unsqueeze(1).expand(-1, info.batch_size, *images.shape[1:])
        else:
            images = images.movedim(in_dims[0], 1)
        # (N, K Ch, ...): a view where the trials lie beside their channels.
        normalised = F.batch_norm(images.flatten(1, 2), *flat, *args[4:])
        return normalised.unflatten(1, (info.batch_size, -1)), 1


def _flat(values: Tensor | None, dim: int | None) -> Any:
    """(K Ch,), a view of what is batched, so that running statistics are updated in place."""
    if values is None:
        return None
    assert dim is not None, "statistics and weights that trials share cannot be told apart"
    return values.movedim(dim, 0).view(-1)
