from functools import partial
from math import prod

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from trainables.cckd.config import TrialConfig
from trainables.cckd.losses import feature_imitation, terms
from trainables.cckd.losses.closed_form import (
    OVER_SAMPLES,
    Estimator,
    Form,
    Part,
    class_masses,
    distilled,
    log_distributions,
    supervised,
    weighted_terms,
)
from trainables.cckd.losses.soft_targets import kd
from trainables.cckd.methods import METHODS

every_estimator = pytest.mark.parametrize("estimator", ["prior", "batch", "batch_mass"])


def _world(seed: int, n: int = 7, c: int = 4) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    return {
        "z_s": torch.from_numpy(rng.normal(size=(n, c)) * 2),
        "z_t": torch.from_numpy(rng.normal(size=(n, c)) * 3),
        "log_s": torch.log_softmax(torch.from_numpy(rng.normal(size=c)), 0),
        "log_t": torch.log_softmax(torch.from_numpy(rng.normal(size=c)), 0),
        "log_set": torch.log_softmax(torch.from_numpy(rng.normal(size=c)), 0),
        "shift": torch.from_numpy(rng.normal(size=c) * 3),
        "row_shift": torch.from_numpy(rng.normal(size=(n, 1)) * 5),
    }


def _term(w: dict[str, Tensor], scale: float, weight: float, form: Form) -> Tensor:
    """One loss on one set, with its gradient."""
    correction = w["log_set"] - w["log_s"]
    part = Part.of([correction], [len(w["z_s"])], first=0, scales=[scale], weights=[weight])
    return weighted_terms(w["z_s"], torch.ones(1, dtype=w["z_s"].dtype), [part], [form])[0]


def _cckd(estimator: Estimator, w: dict[str, Tensor], temperature: float) -> Tensor:
    n, c = w["z_s"].shape
    margins = (w["z_t"] + (w["log_set"] - w["log_t"])).T
    log_target = log_distributions(margins, [n], temperature, estimator)
    masses = class_masses(margins, [n], temperature) if estimator == "batch_mass" else None
    form = partial(
        distilled,
        log_target=log_target,
        target=log_target.exp() * (1 if masses is None else masses),
        masses=masses,
        sizes=[n],
        temperature=temperature,
        estimator=estimator,
    )
    return _term(w, temperature**2 / (c if estimator in OVER_SAMPLES else n), 1 / temperature, form)


def _supervised(w: dict[str, Tensor], labels: Tensor) -> Tensor:
    return _term(w, 1 / len(labels), 1.0, partial(supervised, labels=labels.T))


def _reference_softmax(z: NDArray[np.float64], axis: int = 1) -> NDArray[np.float64]:
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _reference_posterior(z: Tensor, own: Tensor, target: Tensor, temperature: float) -> NDArray[np.float64]:
    # Bayes in probabilities, not in logits: divide by the own prior, multiply by the set's.
    weighed = _reference_softmax(z.numpy()) / np.exp(own.numpy()) * np.exp(target.numpy())
    powered = weighed ** (1 / temperature)
    return powered / powered.sum(axis=1, keepdims=True)


def _reference_cckd(estimator: Estimator, w: dict[str, Tensor], temperature: float) -> float:
    t = _reference_posterior(w["z_t"], w["log_t"], w["log_set"], temperature)
    s = _reference_posterior(w["z_s"], w["log_s"], w["log_set"], temperature)
    n, c = t.shape
    if estimator == "prior":
        return temperature**2 * sum((t[i] * np.log(t[i] / s[i])).sum() for i in range(n)) / n
    total = 0.0
    for k in range(c):
        p, q = t[:, k] / t[:, k].sum(), s[:, k] / s[:, k].sum()
        weight = t[:, k].mean() if estimator == "batch_mass" else 1 / c
        total += weight * (p * np.log(p / q)).sum()
    return temperature**2 * total


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 8.0])
@every_estimator
def test_cckd_equals_its_definition(estimator: Estimator, temperature: float) -> None:
    w = _world(1)
    assert _cckd(estimator, w, temperature).item() == pytest.approx(
        _reference_cckd(estimator, w, temperature), abs=1e-9
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_equals_its_definition(temperature: float) -> None:
    w = _world(2)
    p = _reference_softmax(w["z_t"].numpy() / temperature)
    q = _reference_softmax(w["z_s"].numpy() / temperature)
    expected = temperature**2 * (p * np.log(p / q)).sum(axis=1).mean()
    assert kd(w["z_s"], w["z_t"], temperature).item() == pytest.approx(expected, abs=1e-9)


def test_supervised_is_the_cross_entropy_of_the_corrected_posterior() -> None:
    w = _world(3)
    labels = torch.tensor([0, 1, 2, 3, 3, 3, 0])
    posterior = _reference_posterior(w["z_s"], w["log_s"], w["log_set"], 1.0)
    expected = -np.log(posterior[np.arange(7), labels.numpy()]).mean()
    found = _supervised(w, F.one_hot(labels, 4).double())
    assert found.item() == pytest.approx(expected, abs=1e-9)


def test_supervised_takes_mixed_labels() -> None:
    w = _world(4)
    first, second = torch.tensor([0, 1, 2, 3, 0, 1, 2]), torch.tensor([3, 3, 0, 0, 1, 1, 2])
    share = torch.linspace(0.1, 0.9, 7, dtype=torch.float64)
    one_hot = torch.nn.functional.one_hot
    mixed = share[:, None] * one_hot(first, 4) + (1 - share[:, None]) * one_hot(second, 4)
    posterior = np.log(_reference_posterior(w["z_s"], w["log_s"], w["log_set"], 1.0))
    rows = np.arange(7)
    expected = -(share.numpy() * posterior[rows, first] + (1 - share.numpy()) * posterior[rows, second]).mean()
    found = _supervised(w, mixed)
    assert found.item() == pytest.approx(expected, abs=1e-9)


def test_imitation_is_one_minus_the_mean_cosine() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    cosine = [x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(a, b, strict=True)]
    found = feature_imitation.imitation(torch.from_numpy(a), torch.from_numpy(b))
    assert found.item() == pytest.approx(1 - np.mean(cosine), abs=1e-9)


def test_imitation_of_two_sets_and_its_gradient_are_those_of_cosine_similarity() -> None:
    draw = np.random.default_rng(5).normal
    guess = torch.from_numpy(draw(size=(7, 4))).requires_grad_()
    sets = [torch.from_numpy(draw(size=(n, 4))) for n in (5, 2)]
    loss = feature_imitation.imitation(guess, *sets)
    (slope,) = torch.autograd.grad(3.0 * loss, guess)
    similar = [F.cosine_similarity(rows, target, dim=1) for rows, target in zip(guess.split([5, 2]), sets, strict=True)]
    expected = sum(1.0 - cosines.mean() for cosines in similar) / 2
    (expected_slope,) = torch.autograd.grad(3.0 * expected, guess)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(slope, expected_slope)


def test_imitation_runs_from_zero_at_equal_directions_to_two_at_opposite_ones() -> None:
    features = torch.randn(5, 4, dtype=torch.float64)
    assert feature_imitation.imitation(3 * features, features).item() == pytest.approx(0, abs=1e-9)
    assert feature_imitation.imitation(-features, features).item() == pytest.approx(2, abs=1e-9)


laws = given(seed=st.integers(0, 10_000), temperature=st.floats(0.5, 8))
few = settings(max_examples=25)


@every_estimator
@few
@laws
def test_cckd_ignores_a_class_bias_that_the_teachers_prior_accounts_for(
    estimator: Estimator, seed: int, temperature: float
) -> None:
    w = _world(seed)
    moved = w | {"z_t": w["z_t"] + w["shift"], "log_t": torch.log_softmax(w["log_t"] + w["shift"], 0)}
    torch.testing.assert_close(_cckd(estimator, moved, temperature), _cckd(estimator, w, temperature))


@every_estimator
@few
@laws
def test_cckd_is_zero_for_a_student_that_differs_by_its_prior_only(
    estimator: Estimator, seed: int, temperature: float
) -> None:
    w = _world(seed)
    agreed = w | {"z_s": w["z_t"] + w["shift"], "log_s": torch.log_softmax(w["log_t"] + w["shift"], 0)}
    assert _cckd(estimator, agreed, temperature).item() == pytest.approx(0, abs=1e-9)
    assert _cckd(estimator, w, temperature).item() > 1e-4


@every_estimator
@few
@laws
def test_cckd_ignores_a_shift_of_all_logits_of_a_sample(estimator: Estimator, seed: int, temperature: float) -> None:
    w = _world(seed)
    moved = w | {"z_t": w["z_t"] + w["row_shift"], "z_s": w["z_s"] - w["row_shift"]}
    torch.testing.assert_close(_cckd(estimator, moved, temperature), _cckd(estimator, w, temperature))


@every_estimator
@few
@laws
def test_cckd_ignores_the_order_of_samples(estimator: Estimator, seed: int, temperature: float) -> None:
    w = _world(seed)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(7))
    moved = w | {"z_t": w["z_t"][order], "z_s": w["z_s"][order]}
    torch.testing.assert_close(_cckd(estimator, moved, temperature), _cckd(estimator, w, temperature))


@few
@given(seed=st.integers(0, 10_000), temperature=st.floats(0.5, 8))
def test_batch_is_prior_with_other_weights_of_classes_and_samples_and_a_marginal_term(
    seed: int, temperature: float
) -> None:
    """The chain rule of KL(J_t || J_s), for the joints J_m(n, c) = w_c p_m(n | c) with w_c = 1 / C.

    J_m has the marginal m_m(n) and the posteriors q (teacher) and r (student):
    sum_c w_c KL(p_t(.|c) || p_s(.|c)) = KL(m_t || m_s) + sum_n m_t(n) KL(q(.|n) || r(.|n)).
    """
    w = _world(seed)
    posteriors = [
        _reference_posterior(w[z], w[own], w["log_set"], temperature) for z, own in (("z_t", "log_t"), ("z_s", "log_s"))
    ]
    joint_t, joint_s = (given / given.sum(axis=0) / given.shape[1] for given in posteriors)
    m_t, m_s = joint_t.sum(axis=1), joint_s.sum(axis=1)
    q, r = joint_t / m_t[:, None], joint_s / m_s[:, None]
    marginal = (m_t * np.log(m_t / m_s)).sum()
    per_sample = (m_t * (q * np.log(q / r)).sum(axis=1)).sum()
    found = _cckd("batch", w, temperature).item() / temperature**2
    assert found == pytest.approx(marginal + per_sample, abs=1e-6)


def test_kd_has_no_such_invariance() -> None:
    w = _world(6)
    assert kd(w["z_t"] + w["shift"], w["z_t"], 2.0).item() > 0.01
    assert kd(w["z_t"], w["z_t"], 2.0).item() == pytest.approx(0, abs=1e-12)


@every_estimator
def test_the_gradient_of_cckd_is_right_and_stops_at_the_teacher(estimator: Estimator) -> None:
    w = _world(7, n=4, c=3)
    w["z_s"].requires_grad_()
    assert torch.autograd.gradcheck(lambda z: _cckd(estimator, w | {"z_s": z}, 2.0), [w["z_s"]])
    w["z_t"].requires_grad_()
    _cckd(estimator, w, 2.0).backward()
    assert w["z_t"].grad is None
    assert w["z_s"].grad is not None


def test_kd_and_imitation_stop_at_the_teacher() -> None:
    w = _world(8)
    w["z_s"].requires_grad_()
    w["z_t"].requires_grad_()
    (kd(w["z_s"], w["z_t"], 2.0) + feature_imitation.imitation(w["z_s"], w["z_t"])).backward()
    assert w["z_t"].grad is None
    assert torch.autograd.gradcheck(lambda z: kd(z, w["z_t"].detach(), 2.0), [w["z_s"]])


@every_estimator
def test_the_gradient_of_cckd_stays_finite_for_extreme_logits(estimator: Estimator) -> None:
    w = {name: tensor.float() for name, tensor in _world(9).items()}
    w["z_s"], w["z_t"] = (w["z_s"] * 1e3).requires_grad_(), w["z_t"] * 1e3
    loss = _cckd(estimator, w, 1.0)
    loss.backward()
    assert torch.isfinite(loss)
    gradient = w["z_s"].grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()


def test_every_term_belongs_to_a_method_and_is_weighed_by_its_knobs() -> None:
    for term in terms.TERMS:
        weights = {method: term.weight(TrialConfig.build({"method": method})) for method in METHODS}
        assert max(weights.values()) > 0, f"no method computes {term.name}"
        for method, knobs in METHODS.items():
            if set(term.weighed_by) <= set(knobs):
                assert weights[method] == pytest.approx(prod(float(knobs[knob]) for knob in term.weighed_by))
            else:
                assert weights[method] == (1.0 if term.name == "sup" else 0.0)


def test_the_knobs_of_a_method_are_those_that_its_terms_read() -> None:
    # What every method has, whether it lists it or not.
    common = {"tau", "sup_weight", "sampling", "cosine_scale"}
    for method, knobs in METHODS.items():
        switched = {"use_kd": True, "kd_weight": 1.0} if "use_kd" in knobs else {}
        config = TrialConfig.build({"method": method, **switched})
        read = {knob for term in terms.terms_on(config) for knob in term.knobs}
        if not config.mix_ratio:  # imitation is then on D alone
            read -= set(terms.D_MIX_KNOBS)
        assert {*knobs, *switched} - {"use_kd"} | common == read | common


def test_every_term_but_imitation_has_one_set() -> None:
    for term in terms.TERMS:
        assert len(term.samples) == 1 or term.formed_by is terms.Form.IMITATION


def test_the_columns_of_the_tables_keep_their_order() -> None:
    assert tuple(terms.LOSSES) == (
        *("total", "sup", "kd", "cckd", "sup_mix", "kd_mix", "cckd_mix", "imitation", "bkd", "dive", "wsl"),
        *("dkd_between", "dkd_within", "ltkd_between", "ltkd_within", "vs", "ldam"),
    )
