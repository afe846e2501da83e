"""The objectives of K trials as one: every loss on all trials at once, each with its own priors, weights and T.

The formulas are those of losses.py with the trials as a dimension in front; torch.vmap of those would fall back to a
loop, because it knows no rule for the KL divergence.
"""

from collections.abc import Sequence
from math import log

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.cckd.bundle import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.objective import Targets
from trainables.cckd.priors import student_log_prior


class FusedObjective:
    """What K trials with the same terms minimise.

    Attributes:
        terms: names of the losses, in the order of `Objective.weights`.
    """

    def __init__(
        self,
        configs: Sequence[TrialConfig],
        weights: Sequence[dict[str, float]],
        data: TrialData,
        *,
        device: torch.device,
    ) -> None:
        """Upload each trial's numbers.

        Args:
            configs: tau, temperature and estimator of each trial.
            weights: `Objective.weights` of each trial, the same terms in all.
            data: the priors.
            device: of the logits to come.
        """
        log_train = torch.from_numpy(np.log(data.prior))
        students = torch.stack([student_log_prior(log_train, config.tau) for config in configs])
        self.terms = tuple(weights[0])
        self._weights = torch.tensor([list(of_trial.values()) for of_trial in weights], device=device)
        self._temperature = torch.tensor([config.temperature for config in configs], device=device).view(-1, 1, 1)
        self._by_batch = torch.tensor([config.estimator == "batch" for config in configs], device=device)
        self._estimators = {config.estimator for config in configs}
        # Rows (K or 1, 1, C) that meet logits (K, N, C); formed in float64 as in Objective.
        self._log_train = log_train.float().to(device).view(1, 1, -1)
        self._log_uniform = torch.full_like(self._log_train, -log(data.n_classes))
        self._log_student = students.float().to(device).unsqueeze(1)
        self._log_teacher = torch.from_numpy(data.teacher_log_prior.copy()).float().to(device).view(1, 1, -1)

    def __call__(self, logits: Tensor, aligned: Tensor | None, plain: Targets, mixed: Targets | None) -> Tensor:
        """Return the unweighted losses of each trial in the order of `terms`, then its total: (K, terms + 1).

        Args:
            logits: raw student logits (K, B + M, C), D first.
            aligned: student features after the alignment layers (K, B + M, D), where features are imitated.
            plain, mixed: targets of D and D_mix with the trials in front; None where there is no D_mix.
        """
        n_plain = plain.labels.shape[1]
        sets = {"": (plain, logits[:, :n_plain].float(), self._log_train)}
        if mixed is not None:
            sets["_mix"] = (mixed, logits[:, n_plain:].float(), self._log_uniform)
        losses = []
        for term in self.terms:
            if term == "imitation":
                assert aligned is not None
                losses.append(_imitation(aligned.float(), [targets.features for targets, _, _ in sets.values()]))
                continue
            loss, _, suffix = term.partition("_")
            targets, guess, log_set_prior = sets[suffix and f"_{suffix}"]
            if loss == "sup":
                corrected = guess + (log_set_prior - self._log_student)
                losses.append(_cross_entropy(corrected, targets.labels))
                continue
            assert targets.logits is not None
            teacher = targets.logits
            if loss == "cckd":
                teacher = teacher + (log_set_prior - self._log_teacher)
                guess = guess + (log_set_prior - self._log_student)
            losses.append(self._distil(loss, guess, teacher))
        values = torch.stack(losses, dim=1)
        return torch.cat([values, (values * self._weights).sum(dim=1, keepdim=True)], dim=1)

    def _distil(self, loss: str, guess: Tensor, teacher: Tensor) -> Tensor:
        """T^2 KL of the tempered posteriors: by sample, or for estimator `batch` by class over the samples."""
        log_guess = torch.log_softmax(guess / self._temperature, dim=2)
        log_target = torch.log_softmax(teacher / self._temperature, dim=2)
        by_batch = by_sample = None
        if loss == "cckd" and "batch" in self._estimators:
            by_batch = _kl(torch.log_softmax(log_target, dim=1), torch.log_softmax(log_guess, dim=1)) / guess.shape[2]
        if loss == "kd" or "prior" in self._estimators:
            by_sample = _kl(log_target, log_guess) / guess.shape[1]
        if by_batch is None or by_sample is None:
            kl = by_sample if by_batch is None else by_batch
            assert kl is not None
        else:
            kl = torch.where(self._by_batch, by_batch, by_sample)
        return self._temperature.view(-1).square() * kl


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Means (K,) of logits (K, N, C) and labels, int64 (K, N) or float (K, N, C)."""
    by_sample = F.cross_entropy(logits.flatten(0, 1), labels.flatten(0, 1), reduction="none")
    return by_sample.view(labels.shape[:2]).mean(dim=1)


def _kl(log_target: Tensor, log_guess: Tensor) -> Tensor:
    """KL summed over samples and classes, (K,)."""
    return F.kl_div(log_guess, log_target, reduction="none", log_target=True).sum(dim=(1, 2))


def _imitation(aligned: Tensor, features: Sequence[Tensor | None]) -> Tensor:
    """1 - cosine, (K,): the sum over sets of the mean over each, the sets one after the other in `aligned`."""
    given = [target for target in features if target is not None]
    distances = 1.0 - F.cosine_similarity(aligned, torch.cat(given, dim=1), dim=2)
    by_set = distances.split([target.shape[1] for target in given], dim=1)
    return torch.stack([each.mean(dim=1) for each in by_set]).sum(dim=0)
