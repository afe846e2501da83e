"""Imitation without the aligned features: value and gradients of losses.imitation on them."""

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.cckd.losses import feature_imitation
from trainables.cckd.losses.feature_imitation import Unaligned, imitation_unaligned

SIZES = (6, 3)
SHARES = torch.cat([torch.full((size,), 1 / size / len(SIZES), dtype=torch.float64) for size in SIZES])


def _world(d_student: int = 4, d_teacher: int = 7) -> tuple[Unaligned, Tensor]:
    def draw(*shape: int) -> Tensor:
        return torch.from_numpy(rng.normal(size=shape))

    rng = np.random.default_rng(0)
    n = sum(SIZES)
    unaligned = Unaligned(draw(n, d_student), draw(d_teacher, d_student), draw(d_teacher))
    return Unaligned(*(tensor.requires_grad_() for tensor in unaligned)), draw(n, d_teacher)


@pytest.mark.parametrize("d_teacher", [7, 2], ids=["teacher wider", "student wider"])
def test_value_and_gradients_are_those_of_the_formed_features(d_teacher: int) -> None:
    unaligned, targets = _world(d_teacher=d_teacher)
    loss = imitation_unaligned(unaligned, targets, targets.norm(dim=1), SHARES)
    slopes = torch.autograd.grad(1.7 * loss, unaligned)
    formed = torch.nn.functional.linear(*unaligned)
    expected = feature_imitation.imitation(formed, *targets.split(SIZES))
    expected_slopes = torch.autograd.grad(1.7 * expected, unaligned)
    torch.testing.assert_close(loss, expected)
    for found, wanted in zip(slopes, expected_slopes, strict=True):
        torch.testing.assert_close(found, wanted)


def test_the_closed_form_is_the_slope() -> None:
    unaligned, targets = _world()
    lengths = targets.norm(dim=1)
    assert torch.autograd.gradcheck(
        lambda *given: imitation_unaligned(Unaligned(*given), targets, lengths, SHARES), list(unaligned)
    )


def test_single_precision_is_as_good_as_with_formed_features() -> None:
    # Wide and of one sign, as pooled features are: the norm is a sum of large terms of both signs.
    rng = np.random.default_rng(1)
    h = torch.from_numpy(rng.gamma(2.0, size=(64, 64)).astype(np.float32))
    weight, bias = (
        torch.from_numpy(rng.uniform(-1 / 8, 1 / 8, shape).astype(np.float32)) for shape in ((1280, 64), 1280)
    )
    f = torch.from_numpy(rng.normal(size=(64, 1280)).astype(np.float32))
    shares = torch.full((64,), 1 / 64)
    given = [tensor.requires_grad_() for tensor in (h, weight, bias)]
    exact = [tensor.detach().double().requires_grad_() for tensor in given]
    slopes = torch.autograd.grad(imitation_unaligned(Unaligned(*given), f, f.norm(dim=1), shares), given)
    expected = torch.autograd.grad(feature_imitation.imitation(torch.nn.functional.linear(*exact), f.double()), exact)
    for found, wanted in zip(slopes, expected, strict=True):
        assert (found.double() - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_it_runs_from_zero_at_equal_directions_to_two_at_opposite_ones() -> None:
    unaligned, _ = _world()
    formed = torch.nn.functional.linear(*unaligned).detach()
    for factor, expected in ((2.0, 0.0), (-3.0, 2.0)):
        targets = factor * formed
        loss = imitation_unaligned(unaligned, targets, targets.norm(dim=1), SHARES)
        assert loss.item() == pytest.approx(expected, abs=1e-9)


def test_a_sample_that_is_aligned_to_nothing_gives_finite_slopes() -> None:
    unaligned, targets = _world()
    nothing = Unaligned(unaligned.features, unaligned.weight, unaligned.bias * 0.0)
    zeroed = nothing._replace(features=unaligned.features * torch.tensor([[0.0]] + [[1.0]] * 8, dtype=torch.float64))
    loss = imitation_unaligned(zeroed, targets, targets.norm(dim=1), SHARES)
    assert all(torch.isfinite(slope).all() for slope in torch.autograd.grad(loss, unaligned))
