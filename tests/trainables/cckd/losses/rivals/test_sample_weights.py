import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainables.cckd.losses.rivals import references
from tests.trainables.cckd.losses.rivals.references import slope, tensors, world
from trainables.cckd.losses.rivals.sample_weights import lag_weights, wsl


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_wsl_is_its_definition_and_its_weights_have_no_gradient(temperature: float) -> None:
    student, teacher, labels, _ = world(3)
    z, t, y = tensors(student, teacher, labels)
    found = wsl(z.requires_grad_(), t.requires_grad_(), y, temperature)
    found.backward()
    assert found.item() == pytest.approx(references.wsl(student, teacher, labels, temperature), abs=1e-9)
    expected = slope(lambda s: references.wsl(s, teacher, labels, temperature, frozen=student), student)
    np.testing.assert_allclose(z.grad, expected, atol=1e-7)
    assert t.grad is None


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_the_weights_lie_in_0_to_1_and_rise_with_the_students_loss(seed: int) -> None:
    student, teacher, labels, _ = world(seed)
    z, t, y = tensors(student, teacher, labels)
    weights = lag_weights(z, t, y)
    ratios = [
        references.cross_entropy(one, y) / references.cross_entropy(other, y)
        for one, other, y in zip(student, teacher, labels, strict=True)
    ]
    assert ((weights >= 0) & (weights <= 1)).all()
    assert (weights[np.array(ratios) < 30] < 1).all()  # behind that, 1 - exp(-ratio) rounds to 1
    z[range(len(labels)), labels] -= 1.0
    assert (lag_weights(z, t, y) >= weights).all()


def test_a_teacher_without_any_doubt_gives_finite_weights() -> None:
    z, _, y = tensors(*world(4)[:3])
    sure = 1e3 * (y[:, None] == y.new_tensor(range(5))).double()
    weights = lag_weights(z, sure, y)
    assert ((weights >= 0) & (weights <= 1)).all()
