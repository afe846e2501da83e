from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainables.cckd import plain_losses
from trainables.cckd.config import TrialConfig
from trainables.cckd.losses.feature_imitation import imitation
from trainables.cckd.losses.layout import student_log_prior
from trainables.cckd.losses.objective import Objective
from trainables.cckd.losses.soft_targets import kd
from trainables.cckd.losses.targets import Targets
from trainables.cckd.methods import METHODS

COUNTS = torch.tensor([60, 30, 10])
PRIOR = COUNTS.double() / 100
TEACHER_PRIOR = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
N_PLAIN, N_MIXED = 6, 4

TERMS = {
    "ce": ["sup"],
    "la": ["sup"],
    "la_mix": ["sup", "sup_mix"],
    "vs": ["vs"],
    "ldam_drw": ["ldam"],
    "bkd": ["sup", "bkd"],
    "dive": ["sup", "dive"],
    "wsl": ["sup", "wsl"],
    "dkd": ["sup", "dkd_between", "dkd_within"],
    "ltkd": ["sup", "ltkd_between", "ltkd_within"],
    "cbd": ["sup", "imitation"],
    "kd": ["sup", "kd"],
    "kd_mix": ["sup", "kd", "sup_mix", "kd_mix"],
    "cckd_prior": ["sup", "cckd"],
    "cckd": ["sup", "cckd"],
    "acckd_no_fi": ["sup", "cckd", "sup_mix", "cckd_mix"],
    "acckd": ["sup", "cckd", "sup_mix", "cckd_mix", "imitation"],
}


def _objective(n_mixed: int = N_MIXED, **flat: Any) -> Objective:
    return Objective(TrialConfig.build(flat), COUNTS, TEACHER_PRIOR.log(), n_mixed=n_mixed)


def _step() -> tuple[torch.Tensor, torch.Tensor, Targets, Targets]:
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32))

    plain = Targets(torch.tensor([0, 0, 1, 2, 1, 0]), draw(N_PLAIN, 3), draw(N_PLAIN, 5))
    mixed = Targets(torch.softmax(draw(N_MIXED, 3), 1), draw(N_MIXED, 3), draw(N_MIXED, 5))
    return draw(N_PLAIN + N_MIXED, 3), draw(N_PLAIN + N_MIXED, 5), plain, mixed


@pytest.mark.parametrize("method", METHODS)
def test_a_method_computes_its_own_terms_only(method: str) -> None:
    objective = _objective(n_mixed=N_MIXED if "mix_ratio" in METHODS[method] else 0, method=method)
    assert list(objective.weights) == TERMS[method]
    assert objective.n_mixed == (N_MIXED if "sup_mix" in TERMS[method] else 0)
    assert objective.needs_logits == (method not in ("ce", "la", "la_mix", "vs", "ldam_drw", "cbd"))
    assert objective.needs_mixed_logits == (method in ("kd_mix", "acckd_no_fi", "acckd"))
    assert objective.needs_features == (method in ("acckd", "cbd"))


@pytest.mark.parametrize("balance", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("estimator", ["batch", "batch_mass", "prior", "prior_uniform"])
def test_the_total_is_acckds_formula(estimator: str, balance: float) -> None:
    weights: dict[str, Any] = {
        "kd_weight": 0.3,
        "cckd_weight": 0.7,
        "mix_weight": 1.3,
        "cckd_mix_weight": 0.6,
        "feature_weight": 0.2,
    }
    weights["mix_balance"] = balance
    objective = _objective(method="acckd", use_kd=True, tau=0.8, temperature=3.0, estimator=estimator, **weights)
    logits, aligned, plain, mixed = _step()
    terms = objective(logits, aligned, plain, mixed)

    assert plain.logits is not None
    assert plain.features is not None
    assert mixed.logits is not None
    assert mixed.features is not None
    own, teacher = student_log_prior(PRIOR.log(), 0.8).float(), TEACHER_PRIOR.log().float()
    train, uniform = PRIOR.log().float(), torch.full((3,), 1 / 3).log()
    of_mix = (PRIOR ** (1 - balance) / (PRIOR ** (1 - balance)).sum()).log().float()
    cckd = partial(plain_losses.cckd, estimator)
    priors: dict[str, Any] = {"student_log_prior": own, "teacher_log_prior": teacher, "temperature": 3.0}
    z, z_mix, a, a_mix = logits[:6], logits[6:], aligned[:6], aligned[6:]
    expected = {
        "sup": plain_losses.supervised(z, plain.labels, own, train),
        "kd": kd(z, plain.logits, 3.0),
        "cckd": cckd(z, plain.logits, log_set_prior=uniform if estimator == "prior_uniform" else train, **priors),
        "sup_mix": plain_losses.supervised(z_mix, mixed.labels, own, of_mix),
        "cckd_mix": cckd(
            z_mix, mixed.logits, log_set_prior=uniform if estimator == "prior_uniform" else of_mix, **priors
        ),
        "imitation": (imitation(a, plain.features) + imitation(a_mix, mixed.features)) / 2,
    }
    assert list(terms) == [*expected, "total"]
    for term, loss in expected.items():
        torch.testing.assert_close(terms[term], loss)
    e = expected
    total = e["sup"] + 0.3 * e["kd"] + 0.7 * e["cckd"]
    total = total + 1.3 * e["sup_mix"] + 0.6 * e["cckd_mix"] + 0.2 * e["imitation"]
    torch.testing.assert_close(terms["total"], total)


def test_the_total_of_kd_mix_is_its_formula() -> None:
    objective = _objective(method="kd_mix", temperature=3.0, kd_weight=0.3, mix_weight=1.3, kd_mix_weight=0.6)
    logits, _, plain, mixed = _step()
    terms = objective(logits, None, plain, mixed)
    assert plain.logits is not None
    assert mixed.logits is not None
    z, z_mix = logits[:6], logits[6:]
    uniform = torch.full((3,), 1 / 3).log()
    torch.testing.assert_close(terms["kd"], kd(z, plain.logits, 3.0))
    torch.testing.assert_close(terms["kd_mix"], kd(z_mix, mixed.logits, 3.0))
    sup = plain_losses.supervised(z, plain.labels, uniform, PRIOR.log().float())
    sup_mix = plain_losses.supervised(z_mix, mixed.labels, uniform, uniform)
    total = sup + 0.3 * terms["kd"] + 1.3 * sup_mix + 0.6 * terms["kd_mix"]
    torch.testing.assert_close(terms["total"], total)


def test_the_weights_of_the_mixed_set_do_not_multiply_each_other() -> None:
    weights = _objective(method="acckd", mix_weight=0.5, cckd_mix_weight=0.25).weights
    assert (weights["sup_mix"], weights["cckd_mix"]) == (0.5, 0.25)


def test_imitation_weighs_the_same_with_and_without_the_mixed_set() -> None:
    logits, aligned, plain, _ = _step()
    assert plain.features is not None
    # The mixed set is the plain one again, so the mean over both is the loss on either.
    twice = Targets(torch.eye(3)[plain.labels], plain.logits, plain.features)
    both = _objective(n_mixed=N_PLAIN, method="acckd")
    with_mix = both(torch.cat([logits[:6]] * 2), torch.cat([aligned[:6]] * 2), plain, twice)
    torch.testing.assert_close(with_mix["imitation"], imitation(aligned[:6], plain.features))


def test_without_mixed_samples_no_mixed_term_is_left() -> None:
    objective = _objective(n_mixed=0, method="acckd", mix_ratio=0.0)
    assert list(objective.weights) == ["sup", "cckd", "imitation"]
    logits, aligned, plain, _ = _step()
    terms = objective(logits[:6], aligned[:6], plain, None)
    assert plain.features is not None
    torch.testing.assert_close(terms["imitation"], imitation(aligned[:6], plain.features))


def test_mixed_samples_nobody_wants_are_not_built() -> None:
    assert _objective(method="acckd", mix_weight=0.0, cckd_mix_weight=0.0, feature_weight=0.0).n_mixed == 0
    for_imitation = _objective(method="acckd", mix_weight=0.0, cckd_mix_weight=0.0, feature_weight=0.5)
    assert for_imitation.n_mixed == N_MIXED
    assert list(for_imitation.weights) == ["sup", "cckd", "imitation"]
    assert not for_imitation.needs_mixed_logits


def test_half_precision_logits_give_single_precision_losses() -> None:
    logits, aligned, plain, mixed = _step()
    terms = _objective(method="acckd")(logits.bfloat16(), aligned.bfloat16(), plain, mixed)
    assert {loss.dtype for loss in terms.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("flat", "own"),
    [
        ({"method": "ce"}, [0.6, 0.3, 0.1]),
        ({"method": "la"}, [1 / 3, 1 / 3, 1 / 3]),
        ({"method": "la", "tau": 2.0}, [1 / 6, 1 / 3, 1.0]),
        ({"method": "cbd"}, [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_the_correction_replaces_the_students_prior_by_the_uniform_one(flat: dict[str, Any], own: list[float]) -> None:
    prior = np.array(own) / np.sum(own)
    np.testing.assert_allclose(_objective(**flat).to_uniform.numpy(), np.log(1 / 3 / prior), atol=1e-6)
