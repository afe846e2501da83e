from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.trainables.cckd.losses.rivals import references
from tests.trainables.cckd.losses.rivals.references import slope, tensors, world
from trainables.cckd.losses.rivals.decoupled import dkd, ltkd
from trainables.cckd.losses.soft_targets import kd

GROUPS = ([0, 1], [2, 3], [4])

laws = given(seed=st.integers(0, 10_000), temperature=st.floats(0.5, 8))
few = settings(max_examples=25)


def _ids(groups: Sequence[Sequence[int]] = GROUPS) -> list[Tensor]:
    return [torch.tensor(group) for group in groups]


@pytest.mark.parametrize("part", [0, 1], ids=["between", "within"])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_dkd_and_its_gradient_are_those_of_its_definition(temperature: float, part: int) -> None:
    student, teacher, labels, _ = world(5)
    z, t, y = tensors(student, teacher, labels)
    found = dkd(z.requires_grad_(), t.requires_grad_(), y, temperature)[part].mean()
    found.backward()
    assert found.item() == pytest.approx(references.dkd(student, teacher, labels, temperature)[part], abs=1e-9)
    expected = slope(lambda s: references.dkd(s, teacher, labels, temperature)[part], student)
    np.testing.assert_allclose(z.grad, expected, atol=1e-7)
    assert t.grad is None


@few
@laws
def test_dkd_with_weights_1_and_1_minus_the_targets_probability_is_kd(seed: int, temperature: float) -> None:
    z, t, y = tensors(*world(seed)[:3])
    of_target = torch.softmax(t / temperature, dim=1).gather(1, y[:, None])[:, 0]
    parts = dkd(z, t, y, temperature)
    torch.testing.assert_close((parts.between + (1 - of_target) * parts.within).mean(), kd(z, t, temperature))


def test_among_two_classes_there_is_nothing_within() -> None:
    student, teacher, labels, _ = world(6, c=2)
    z, t, y = tensors(student, teacher, labels)
    parts = dkd(z.requires_grad_(), t, y, 2.0)
    assert parts.within.tolist() == [0.0] * 7
    torch.testing.assert_close(parts.between.mean(), kd(z, t, 2.0))
    (parts.between + parts.within).sum().backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("part", [0, 1], ids=["between", "within"])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_ltkd_and_its_gradient_are_those_of_its_definition(temperature: float, part: int) -> None:
    student, teacher, _, _ = world(7)
    z, t = tensors(student, teacher)
    found = ltkd(z.requires_grad_(), t.requires_grad_(), _ids(), temperature)[part]
    found.backward()
    assert found.item() == pytest.approx(references.ltkd(student, teacher, GROUPS, temperature)[part], abs=1e-9)
    expected = slope(lambda s: references.ltkd(s, teacher, GROUPS, temperature)[part], student)
    np.testing.assert_allclose(z.grad, expected, atol=1e-7)
    assert t.grad is None


@few
@laws
def test_where_the_teacher_favours_no_group_the_parts_of_ltkd_are_those_of_kd(seed: int, temperature: float) -> None:
    # Each sample stands three times in the batch, with its classes moved from group to group.
    student, teacher, _, _ = world(seed, n=4, c=6)
    turns = [np.roll(np.arange(6), 2 * k) for k in range(3)]
    z, t = tensors(student, np.concatenate([teacher[:, turn] for turn in turns]))
    z = torch.cat([z, z.flip(0), z])
    groups = _ids([[0, 1], [2, 3], [4, 5]])
    between = ltkd(z, t, groups, temperature).between
    p, q = (torch.softmax(logits / temperature, dim=1).unflatten(1, (3, 2)) for logits in (t, z))
    within = sum(
        p_g.sum(1) * (p_g / p_g.sum(1, True) * (p_g / p_g.sum(1, True) / (q_g / q_g.sum(1, True))).log()).sum(1)
        for p_g, q_g in zip(p.unbind(1), q.unbind(1), strict=True)
    )
    torch.testing.assert_close(between + temperature**2 * within.mean(), kd(z, t, temperature))


@few
@laws
def test_ltkd_between_groups_ignores_how_a_teacher_favours_a_group(seed: int, temperature: float) -> None:
    # Two samples whose teacher leans to the first group equally: after the rebalancing it leans nowhere.
    student, _, _, _ = world(seed, n=2, c=4)
    leaning = np.log([[0.4, 0.4, 0.1, 0.1], [0.4, 0.4, 0.1, 0.1]])
    z, t = tensors(student, leaning)
    groups = _ids([[0, 1], [2, 3]])
    torch.testing.assert_close(
        ltkd(z, t, groups, temperature).between, ltkd(z, torch.zeros_like(t), groups, temperature).between
    )
