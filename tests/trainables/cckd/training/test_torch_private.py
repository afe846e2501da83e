"""What the private names of torch do, and whether they are still needed."""

import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainables.cckd.training.torch_private import copy_all, sgd_step

SETTINGS = {"momentum": 0.9, "weight_decay": 5e-4}


def _parameters() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.randn(*shape, generator=generator).requires_grad_() for shape in ((4, 3), (4,), (2, 4))]
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return parameters


def _step(parameters: list[Tensor], momenta: list[Tensor | None], momentum: float, *, nesterov: bool = True) -> None:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    with torch.no_grad():
        sgd_step(parameters, gradients, momenta, rate=0.1, momentum=momentum, nesterov=nesterov, weight_decay=5e-4)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.9, False), (0.0, False)])
def test_a_step_is_the_optimisers(momentum: float, nesterov: bool) -> None:
    ours, theirs = _parameters(), _parameters()
    momenta = [torch.zeros_like(parameter) if momentum else None for parameter in ours]
    optimiser = torch.optim.SGD(theirs, lr=0.1, momentum=momentum, weight_decay=5e-4, nesterov=nesterov, fused=True)
    for _ in range(3):
        _step(ours, momenta, momentum, nesterov=nesterov)
        optimiser.step()
    for found, wanted in zip(ours, theirs, strict=True):
        assert torch.equal(found, wanted)


def test_the_optimiser_still_does_more_than_the_step() -> None:
    """Where this fails, torch.optim.SGD has become as lean as `sgd_step`, which is then needless."""
    parameters = _parameters()
    momenta: list[Tensor | None] = [torch.zeros_like(parameter) for parameter in parameters]
    optimiser = torch.optim.SGD(parameters, lr=0.1, nesterov=True, fused=True, **SETTINGS)
    optimiser.step()
    assert _calls(optimiser.step) > 1.25 * _calls(lambda: _step(parameters, momenta, 0.9))


def test_tensors_are_copied_whatever_their_dtype() -> None:
    sources = [torch.arange(3), torch.ones(2, 2), torch.arange(4) + 7, torch.zeros(1, dtype=torch.bool)]
    into = [torch.zeros_like(source) - 1 if source.dtype != torch.bool else ~source for source in sources]
    copy_all(sources, into)
    assert all(torch.equal(source, copy) for source, copy in zip(sources, into, strict=True))


def test_torch_has_no_public_copy_of_many_tensors() -> None:
    """Where this fails, a public name can take the place of torch._foreach_copy_."""
    assert not hasattr(torch, "foreach_copy_")


def _calls(act: Callable[[], object]) -> int:
    """Python functions that `act` calls."""
    n_calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal n_calls
        n_calls += event == "call"

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
    return n_calls
