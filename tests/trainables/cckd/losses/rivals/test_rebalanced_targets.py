import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainables.cckd.losses.rivals import references
from tests.trainables.cckd.losses.rivals.references import slope, tensors, world
from trainables.cckd.losses.rivals.rebalanced_targets import bkd, dive
from trainables.cckd.losses.soft_targets import kd

laws = given(seed=st.integers(0, 10_000), temperature=st.floats(0.5, 8))
few = settings(max_examples=25)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_bkd_and_its_gradient_are_those_of_its_definition(temperature: float) -> None:
    student, teacher, _, counts = world(1)
    weights = references.class_weights(counts, 0.9999)
    z, t, w = tensors(student, teacher, weights)
    found = bkd(z.requires_grad_(), t, w, temperature)
    found.backward()
    assert found.item() == pytest.approx(references.bkd(student, teacher, weights, temperature), abs=1e-9)
    expected = slope(lambda s: references.bkd(s, teacher, weights, temperature), student)
    np.testing.assert_allclose(z.grad, expected, atol=1e-7)


@few
@laws
def test_bkd_with_equal_weights_is_kd_whatever_their_scale(seed: int, temperature: float) -> None:
    z, t, _ = tensors(*world(seed)[:3])
    torch.testing.assert_close(bkd(z, t, torch.full((5,), 3.0).double(), temperature), kd(z, t, temperature))


def test_bkd_wants_more_of_rare_classes_than_kd() -> None:
    teacher = torch.zeros(1, 3, dtype=torch.float64)
    student = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    bkd(student, teacher, torch.tensor([1.0, 2.0, 3.0]), 2.0).backward()
    assert student.grad is not None
    assert (student.grad[0].diff() < 0).all()


@pytest.mark.parametrize(("temperature", "power"), [(3.0, 0.5), (1.0, 2.0)])
def test_dive_and_its_gradient_are_those_of_its_definition(temperature: float, power: float) -> None:
    student, teacher, _, _ = world(2)
    z, t = tensors(student, teacher)
    found = dive(z.requires_grad_(), t, temperature, power)
    found.backward()
    assert found.item() == pytest.approx(references.dive(student, teacher, temperature, power), abs=1e-9)
    expected = slope(lambda s: references.dive(s, teacher, temperature, power), student)
    np.testing.assert_allclose(z.grad, expected, atol=1e-7)


@few
@laws
def test_dive_with_power_1_is_kd(seed: int, temperature: float) -> None:
    z, t, _ = tensors(*world(seed)[:3])
    torch.testing.assert_close(dive(z, t, temperature, 1.0), kd(z, t, temperature))


@few
@laws
def test_a_power_of_one_half_equals_a_teacher_at_twice_the_temperature(seed: int, temperature: float) -> None:
    student, teacher, _, _ = world(seed)
    target = [references.softmax(t / (2 * temperature)) for t in teacher]
    guess = [references.softmax(s / temperature) for s in student]
    expected = temperature**2 * np.mean([references.kl(p, q) for p, q in zip(target, guess, strict=True)])
    z, t = tensors(student, teacher)
    assert dive(z, t, temperature, 0.5).item() == pytest.approx(expected, rel=1e-9)
