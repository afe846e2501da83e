"""Every rival's total, as its paper writes it, from plain numpy; the objective reads knobs, counts and progress."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainables.cckd.losses.rivals import references
from tests.trainables.cckd.losses.rivals.references import world
from trainables.cckd.config import TrialConfig
from trainables.cckd.losses.objective import Objective
from trainables.cckd.losses.plain_forms import DEFERRED_UNTIL
from trainables.cckd.losses.targets import Targets

STUDENT, TEACHER, LABELS, COUNTS = world(1, n=12, c=6)
TERCILES = ([0, 1], [2, 3], [4, 5])  # the counts fall
EQUAL = np.ones(6)


def _adjusted(tau: float) -> float:
    return references.vs(STUDENT, LABELS, COUNTS, 0.0, tau)


def _weighted(parts: tuple[float, float], between: float, within: float) -> float:
    return between * parts[0] + within * parts[1]


def _total(method: str, progress: float = 0.0, **knobs: Any) -> float:
    config = TrialConfig.build({"method": method, **knobs})
    objective = Objective(config, torch.from_numpy(COUNTS), torch.zeros(6).double(), n_mixed=0)
    objective.advance(progress)
    targets = Targets(torch.from_numpy(LABELS), torch.from_numpy(TEACHER).float())
    logits = torch.from_numpy(STUDENT).float().requires_grad_()
    losses = objective(logits, None, targets, None)
    losses["total"].backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    total = sum(objective.weights[term] * losses[term].item() for term in objective.weights)
    assert losses["total"].item() == pytest.approx(total, rel=1e-5)
    return losses["total"].item()


TOTALS: dict[str, tuple[dict[str, float], Callable[[], float]]] = {
    "bkd": (
        {"bkd_weight": 0.7, "beta": 0.99, "temperature": 3.0},
        lambda: _adjusted(0) + 0.7 * references.bkd(STUDENT, TEACHER, references.class_weights(COUNTS, 0.99), 3.0),
    ),
    "bkd on la": (
        {"tau": 1.0},
        lambda: _adjusted(1) + references.bkd(STUDENT, TEACHER, references.class_weights(COUNTS, 0.9999), 2.0),
    ),
    "dive": ({}, lambda: 0.5 * _adjusted(1) + 0.5 * references.dive(STUDENT, TEACHER, 3.0, 0.5)),
    "dive at weight 1 and power 1": (
        {"sup_weight": 0.0, "dive_weight": 1.0, "power": 1.0},
        lambda: references.kd(STUDENT, TEACHER, 3.0),
    ),
    "wsl": ({}, lambda: _adjusted(0) + 2.5 * references.wsl(STUDENT, TEACHER, LABELS, 2.0)),
    "dkd": ({}, lambda: _adjusted(0) + _weighted(references.dkd(STUDENT, TEACHER, LABELS, 2.0), 1.0, 2.0)),
    "ltkd": (
        {"ltkd_between_weight": 2.0, "ltkd_within_weight": 0.5},
        lambda: _adjusted(0) + _weighted(references.ltkd(STUDENT, TEACHER, TERCILES, 2.0), 2.0, 0.5),
    ),
    "vs": ({"tau": 0.8}, lambda: references.vs(STUDENT, LABELS, COUNTS, 0.3, 0.8)),
    "ldam_drw": ({}, lambda: references.ldam(STUDENT, LABELS, COUNTS, 0.5, 30.0)),
    "ldam_drw with a linear classifier": (
        {"cosine_scale": 0.0},
        lambda: references.ldam(STUDENT, LABELS, COUNTS, 0.5, 1.0),
    ),
}


@pytest.mark.parametrize("case", TOTALS)
def test_the_total_is_that_of_the_paper(case: str) -> None:
    knobs, expected = TOTALS[case]
    assert _total(case.split()[0], **knobs) == pytest.approx(expected(), rel=2e-6)


@pytest.mark.parametrize(("done", "of"), [(0, 20), (15, 20), (16, 20), (159, 200), (160, 200), (199, 200)])
def test_ldam_weighs_classes_in_the_last_fifth_of_the_epochs(done: int, of: int) -> None:
    late = done >= DEFERRED_UNTIL * of
    weights = references.class_weights(COUNTS, 0.9999) if late else EQUAL
    expected = references.ldam(STUDENT, LABELS, COUNTS, 0.5, 30.0, weights)
    assert _total("ldam_drw", progress=done / of) == pytest.approx(expected, rel=2e-6)


def test_ltkd_with_two_classes_leaves_the_third_third_out() -> None:
    student, teacher, labels, counts = world(2, n=5, c=2)
    config = TrialConfig.build({"method": "ltkd"})
    objective = Objective(config, torch.from_numpy(counts), torch.zeros(2).double(), n_mixed=0)
    targets = Targets(torch.from_numpy(labels), torch.from_numpy(teacher).float())
    losses = objective(torch.from_numpy(student).float(), None, targets, None)
    assert losses["ltkd_within"].item() == pytest.approx(0.0, abs=1e-6)
    expected = references.ltkd(student, teacher, ([0], [1]), 2.0)[0]
    assert losses["ltkd_between"].item() == pytest.approx(expected, rel=1e-5)


def test_the_gradient_of_a_total_is_the_weighted_sum_of_the_gradients() -> None:
    config = TrialConfig.build({"method": "wsl"})
    objective = Objective(config, torch.from_numpy(COUNTS), torch.zeros(6).double(), n_mixed=0)
    targets = Targets(torch.from_numpy(LABELS), torch.from_numpy(TEACHER).float())
    logits = torch.from_numpy(STUDENT).float().requires_grad_()
    objective(logits, None, targets, None)["total"].backward()
    supervised = references.slope(lambda z: references.vs(z, LABELS, COUNTS, 0.0, 0.0), STUDENT)
    distilled = references.slope(lambda z: references.wsl(z, TEACHER, LABELS, 2.0, frozen=STUDENT), STUDENT)
    np.testing.assert_allclose(logits.grad, supervised + 2.5 * distilled, atol=1e-6)
