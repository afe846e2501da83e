"""All losses on logits at once, against plain_losses.py and numpy one at a time; their gradient against autograd."""

from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.trainables.cckd import plain_losses
from trainables.cckd.losses.closed_form import (
    OVER_SAMPLES,
    Estimator,
    Form,
    Part,
    class_masses,
    distilled,
    log_distributions,
    spread,
    supervised,
    weighted_terms,
)

SIZES = (5, 3)
N_CLASSES = 4
TEMPERATURE = 3.0
every_estimator = pytest.mark.parametrize("estimator", ["prior", "batch", "batch_mass"])


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape) * 2)


OWN, TEACHER, *SETS = (torch.log_softmax(_draw(N_CLASSES, seed=seed), 0) for seed in (1, 2, 3, 4))
LABELS = torch.softmax(_draw(sum(SIZES), N_CLASSES, seed=5), 1)
TEACHER_LOGITS = _draw(sum(SIZES), N_CLASSES, seed=6)


def _parts(estimator: Estimator) -> tuple[list[Part], list[Form]]:
    corrections = [log_set - OWN for log_set in SETS]
    means = [1 / size for size in SIZES]
    scales = [TEMPERATURE**2 * (1 / N_CLASSES if estimator in OVER_SAMPLES else mean) for mean in means]
    weights = [0.7 / TEMPERATURE, 1.9 / TEMPERATURE]
    parts = [
        Part.of(corrections, SIZES, first=0, scales=means, weights=[1.0, 1.3]),
        Part.of(corrections, SIZES, first=0, scales=scales, weights=weights),
    ]
    correction = spread([log_set - TEACHER for log_set in SETS], SIZES)
    margins = TEACHER_LOGITS.T + correction
    log_target = log_distributions(margins, SIZES, TEMPERATURE, estimator)
    masses = class_masses(margins, SIZES, TEMPERATURE) if estimator == "batch_mass" else None
    form = partial(
        distilled,
        log_target=log_target,
        target=log_target.exp() * (1 if masses is None else masses),
        sizes=SIZES,
        temperature=TEMPERATURE,
        estimator=estimator,
        masses=masses,
    )
    return parts, [partial(supervised, labels=LABELS.T), form]


WEIGHTS = torch.tensor([1.0, 1.3, 0.7, 1.9], dtype=torch.float64)


def _plain_terms(logits: Tensor, estimator: str) -> Tensor:
    rows = [part.split(SIZES) for part in (logits, LABELS, TEACHER_LOGITS)]
    sup = [plain_losses.supervised(z, y, OWN, log_set) for z, y, log_set in zip(*rows[:2], SETS, strict=True)]
    priors = {"student_log_prior": OWN, "teacher_log_prior": TEACHER}
    kl = [
        plain_losses.cckd(estimator, z, t, log_set_prior=log_set, temperature=TEMPERATURE, **priors)
        for z, t, log_set in zip(rows[0], rows[2], SETS, strict=True)
    ]
    return torch.stack([*sup, *kl])


def _reference_posterior(logits: Tensor, own: Tensor, log_set: Tensor, power: float) -> NDArray[np.float64]:
    odds = np.exp(logits.numpy() - own.numpy() + log_set.numpy()) ** power
    return odds / odds.sum(axis=1, keepdims=True)


@every_estimator
def test_terms_and_gradient_are_those_of_the_plain_losses(estimator: Estimator) -> None:
    logits = _draw(sum(SIZES), N_CLASSES).requires_grad_()
    total, terms = weighted_terms(logits, WEIGHTS, *_parts(estimator))
    (slope,) = torch.autograd.grad(2.5 * total, logits)
    plain = _plain_terms(logits, estimator)
    (expected,) = torch.autograd.grad(2.5 * (plain @ WEIGHTS), logits)
    torch.testing.assert_close(terms, plain.detach())
    torch.testing.assert_close(total, plain.detach() @ WEIGHTS)
    torch.testing.assert_close(slope, expected)
    assert not terms.requires_grad


@every_estimator
def test_terms_are_their_definitions(estimator: Estimator) -> None:
    logits = _draw(sum(SIZES), N_CLASSES)
    _, terms = weighted_terms(logits, WEIGHTS, *_parts(estimator))
    rows = zip(SETS, *(part.split(SIZES) for part in (logits, LABELS, TEACHER_LOGITS)), strict=True)
    sup, kl = [], []
    for log_set, z, y, t in rows:
        sup.append(-(y.numpy() * np.log(_reference_posterior(z, OWN, log_set, 1.0))).sum(axis=1).mean())
        q, p = (_reference_posterior(x, own, log_set, 1 / TEMPERATURE) for x, own in ((z, OWN), (t, TEACHER)))
        mass = p.mean(axis=0)
        if estimator in OVER_SAMPLES:
            p, q = (m / m.sum(axis=0) for m in (p, q))
        weights = {"prior": 1 / len(p), "batch": 1 / N_CLASSES, "batch_mass": mass}[estimator]
        kl.append(TEMPERATURE**2 * (weights * p * np.log(p / q)).sum())
    np.testing.assert_allclose(terms, [*sup, *kl], rtol=1e-9)


@every_estimator
def test_the_closed_form_is_the_slope_of_the_total(estimator: Estimator) -> None:
    parts, forms = _parts(estimator)
    logits = _draw(sum(SIZES), N_CLASSES).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: weighted_terms(z, WEIGHTS, parts, forms)[0], [logits])


def test_a_loss_on_the_second_set_alone_leaves_the_first_without_slope() -> None:
    part = Part.of([SETS[1] - OWN], SIZES[1:], first=SIZES[0], scales=[1 / SIZES[1]], weights=[1.0])
    logits = _draw(sum(SIZES), N_CLASSES).requires_grad_()
    total, terms = weighted_terms(
        logits, WEIGHTS[:1], [part], [partial(supervised, labels=LABELS[SIZES[0] :].T.contiguous())]
    )
    (slope,) = torch.autograd.grad(total, logits)
    expected = plain_losses.supervised(logits[SIZES[0] :], LABELS[SIZES[0] :], OWN, SETS[1])
    torch.testing.assert_close(terms[0], expected.detach())
    assert (slope[: SIZES[0]] == 0).all()
    assert (slope[SIZES[0] :] != 0).all()


@every_estimator
def test_extreme_logits_give_finite_slopes(estimator: Estimator) -> None:
    logits = (1e3 * _draw(sum(SIZES), N_CLASSES).float()).requires_grad_()
    total, _ = weighted_terms(logits, WEIGHTS.float(), *_single(*_parts(estimator)))
    (slope,) = torch.autograd.grad(total, logits)
    assert torch.isfinite(total)
    assert torch.isfinite(slope).all()


def _single(parts: list[Part], forms: list[Form]) -> tuple[list[Part], list[Form]]:
    narrow = [Part(p.sizes, p.columns, p.correction.float(), p.shares.float(), p.pull.float()) for p in parts]
    return narrow, [
        partial(form.func, **{k: v.float() if isinstance(v, Tensor) else v for k, v in form.keywords.items()})  # type: ignore[attr-defined]
        for form in forms
    ]
