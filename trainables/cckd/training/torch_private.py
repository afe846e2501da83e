"""The names of torch that are private or bound to its version; no other module uses one.

| name | why | the test that fails once it is needless |
|---|---|---|
| `torch._foreach_copy_` | one launch per dtype instead of one per tensor, before a CUDA graph is replayed | \
`test_torch_has_no_public_copy_of_many_tensors` |
| `torch.optim.sgd.sgd` | SGD without the groups, hooks and records around it, a third of the time on small students | \
`test_the_optimiser_still_does_more_than_the_step` |
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.sgd import sgd


def copy_all(sources: Sequence[Tensor], into: Sequence[Tensor]) -> None:
    """Copy each of `sources` into its counterpart, which has the same shape and dtype."""
    for dtype in {tensor.dtype for tensor in into}:
        torch._foreach_copy_(
            [tensor for tensor in into if tensor.dtype == dtype],
            [tensor for tensor in sources if tensor.dtype == dtype],
        )


def sgd_step(
    parameters: list[Tensor],
    gradients: list[Tensor],
    momenta: list[Tensor | None],
    *,
    rate: float | Tensor,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
) -> None:
    """Take the step of `torch.optim.SGD(fused=True)`, with momentum where that is above 0.

    Parameters and momenta change in place. A momentum of zeros gives the first step of an optimiser without a buffer.
    """
    sgd(
        parameters,
        gradients,
        momenta,
        fused=True,
        weight_decay=weight_decay,
        momentum=momentum,
        lr=rate,
        dampening=0.0,
        nesterov=nesterov and momentum > 0,
        maximize=False,
    )
