"""Whether the loss of the user's own method works: it is tried on one made-up batch before a study starts."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from trainables.cckd.errors import UsageError
from trainables.cckd.losses.setting import Setting
from trainables.cckd.losses.targets import Targets
from trainables.cckd.methods import Knobs
from trainables.own_method import OwnMethod

_N = 8


def check_own_loss(own: OwnMethod, knobs: Knobs, counts: Sequence[int]) -> None:
    """Try the loss on 8 samples of a data set with these training counts, length C, at the reference values.

    Raises:
        UsageError: it raises an error, or does not return a finite scalar with a finite gradient.
    """
    random = torch.Generator().manual_seed(0)
    logits, teacher = (torch.randn(_N, len(counts), generator=random) for _ in range(2))
    labels = torch.arange(_N) % len(counts)
    targets = Targets(labels, teacher if own.needs else None)
    try:
        value = own.loss(logits.requires_grad_(), targets, Setting.of(knobs, torch.tensor(counts)))
        faults = list(_faults(value, logits))
    except Exception as error:  # the function is the user's own and may fail in any way
        faults = [" ".join(f"it raised {type(error).__name__}: {error}".split())]
    if faults:
        raise UsageError([f"own method {own.name}: loss was tried on a made-up batch; {fault}" for fault in faults])


def _faults(value: object, logits: Tensor) -> Iterator[str]:
    if not isinstance(value, Tensor) or value.ndim:
        got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        yield f"it must return a scalar tensor; got {got}"
    elif not value.isfinite():
        yield f"it must return a finite number; got {value.item()}"
    elif not value.requires_grad:
        yield "its value must have a gradient; it has none, as after detach() or no_grad()"
    else:
        (gradient,) = torch.autograd.grad(value, logits, allow_unused=True)
        if gradient is None:
            yield "its value must depend on the logits; it does not"
        elif not gradient.isfinite().all():
            yield "its gradient must be finite; it is not"
