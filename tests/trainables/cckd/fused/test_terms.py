"""The fused objective against K solo ones: losses, totals and gradients."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.cckd.bundle import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.fused.terms import FusedObjective
from trainables.cckd.methods import LADDER
from trainables.cckd.objective import Objective, Targets

B, M, C, D = 7, 5, 3, 4


def _solo(config: TrialConfig, data: TrialData) -> Objective:
    log_train, log_teacher = np.log(data.prior), data.teacher_log_prior.copy()
    n_mixed = M if config.mix_ratio else 0
    return Objective(config, torch.from_numpy(log_train), torch.from_numpy(log_teacher), n_mixed=n_mixed)


def _targets(n: int, rng: torch.Generator, *, mixed: bool) -> Targets:
    labels = torch.randint(C, (3, n), generator=rng)
    soft = torch.rand(3, n, C, generator=rng).softmax(dim=2)
    return Targets(
        soft if mixed else labels,
        3 * torch.randn(3, n, C, generator=rng),
        torch.randn(3, n, D, generator=rng),
    )


def _of_trial(targets: Targets, trial: int) -> Targets:
    assert targets.logits is not None
    assert targets.features is not None
    return Targets(targets.labels[trial], targets.logits[trial], targets.features[trial])


def _total_gradients(total: Tensor, *inputs: Tensor) -> list[Tensor | None]:
    return list(torch.autograd.grad(total, inputs, allow_unused=True))


@pytest.mark.parametrize(
    ("method", "use_kd"), [*((method, False) for method in LADDER), ("cckd", True), ("acckd", True)]
)
def test_losses_and_gradients_of_each_trial_equal_its_solo_objectives(
    make_configs: Callable[..., list[TrialConfig]], trial_data: TrialData, method: str, use_kd: bool
) -> None:
    configs = make_configs(method, use_kd=True, kd_weight=0.4) if use_kd else make_configs(method)
    objectives = [_solo(config, trial_data) for config in configs]
    fused = FusedObjective(configs, [each.weights for each in objectives], trial_data, device=torch.device("cpu"))
    assert fused.terms == tuple(objectives[0].weights)

    rng = torch.Generator().manual_seed(0)
    n_mixed = objectives[0].n_mixed
    logits = (2 * torch.randn(3, B + n_mixed, C, generator=rng)).requires_grad_()
    aligned = torch.randn(3, B + n_mixed, D, generator=rng).requires_grad_()
    plain = _targets(B, rng, mixed=False)
    mixed = _targets(n_mixed, rng, mixed=True) if n_mixed else None
    losses = fused(logits, aligned if objectives[0].needs_features else None, plain, mixed)
    gradients = _total_gradients(losses[:, -1].sum(), logits, aligned)

    for trial, objective in enumerate(objectives):
        own = [each.detach()[trial].requires_grad_() for each in (logits, aligned)]
        its_mixed = None if mixed is None else _of_trial(mixed, trial)
        terms = objective(own[0], own[1] if objective.needs_features else None, _of_trial(plain, trial), its_mixed)
        torch.testing.assert_close(losses[trial], torch.stack(list(terms.values())), atol=1e-6, rtol=1e-5)
        for theirs, ours in zip(gradients, _total_gradients(terms["total"], *own), strict=True):
            if ours is None or theirs is None:
                assert theirs is ours
            else:
                torch.testing.assert_close(theirs[trial], ours, atol=1e-6, rtol=1e-5)
