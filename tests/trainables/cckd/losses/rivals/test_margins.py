import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainables.cckd import plain_losses
from tests.trainables.cckd.losses.rivals import references
from tests.trainables.cckd.losses.rivals.references import slope, tensors, world
from trainables.cckd.losses.layout import student_log_prior
from trainables.cckd.losses.rivals.margins import deferred, ldam, vs

few = settings(max_examples=25)


@pytest.mark.parametrize(("gamma", "tau"), [(0.3, 1.0), (0.1, 0.0)])
def test_vs_and_its_gradient_are_those_of_its_definition(gamma: float, tau: float) -> None:
    student, _, labels, counts = world(8)
    z, y, n = tensors(student, labels, counts)
    found = vs(z.requires_grad_(), y, n, gamma=gamma, tau=tau)
    found.backward()
    assert found.item() == pytest.approx(references.vs(student, labels, counts, gamma, tau), abs=1e-9)
    expected = slope(lambda s: references.vs(s, labels, counts, gamma, tau), student)
    np.testing.assert_allclose(z.grad, expected, atol=1e-7)


@few
@given(seed=st.integers(0, 10_000), tau=st.floats(0, 2))
def test_vs_with_gamma_0_is_logit_adjustment(seed: int, tau: float) -> None:
    student, _, labels, counts = world(seed)
    z, y, n = tensors(student, labels, counts)
    log_prior = (n / n.sum()).log()
    expected = plain_losses.supervised(z, y, student_log_prior(log_prior, tau), log_prior)
    torch.testing.assert_close(vs(z, y, n, gamma=0.0, tau=tau), expected)


@pytest.mark.parametrize("weighed", [False, True])
def test_ldam_and_its_gradient_are_those_of_its_definition(weighed: bool) -> None:
    student, _, labels, counts = world(9)
    weights = references.class_weights(counts, 0.99) if weighed else None
    z, y, n = tensors(student, labels, counts)
    w = None if weights is None else torch.from_numpy(weights)
    found = ldam(z.requires_grad_(), y, n, largest=0.5, scale=30.0, weights=w)
    found.backward()
    assert found.item() == pytest.approx(references.ldam(student, labels, counts, 0.5, 30.0, weights), abs=1e-9)
    expected = slope(lambda s: references.ldam(s, labels, counts, 0.5, 30.0, weights), student)
    np.testing.assert_allclose(z.grad, expected, atol=1e-6)


@few
@given(seed=st.integers(0, 10_000))
def test_ldam_without_a_margin_is_cross_entropy_and_a_margin_costs(seed: int) -> None:
    student, _, labels, counts = world(seed)
    z, y, n = tensors(student, labels, counts)
    plain = ldam(z, y, n, largest=0.0, scale=30.0)
    torch.testing.assert_close(plain, F.cross_entropy(z, y))
    assert ldam(z, y, n, largest=0.5, scale=30.0) > plain


def test_weights_are_deferred_until_their_share_of_the_training() -> None:
    weights = torch.tensor([0.5, 1.5])
    assert deferred(weights, torch.tensor(159 / 200), 0.8).tolist() == [1.0, 1.0]
    assert deferred(weights, torch.tensor(160 / 200), 0.8).tolist() == [0.5, 1.5]
