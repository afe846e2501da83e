"""ACCKD's weighted sum of losses over one step, computing only the terms that are on.

total = sup(D) + kd_weight kd(D) + cckd_weight cckd(D) + mix_weight [sup(D_mix) + cckd_mix_weight cckd(D_mix)]
      + feature_weight [imitation(D) + imitation(D_mix)]
"""

from dataclasses import dataclass
from math import log
from typing import TypeVar

import torch
from torch import Tensor

from trainables.cckd import losses
from trainables.cckd.config import TrialConfig
from trainables.cckd.priors import student_log_prior

_Given = TypeVar("_Given")

_ESTIMATORS = {"batch": losses.cckd_batch, "prior": losses.cckd_prior}


@dataclass(frozen=True, eq=False)
class Targets:
    """What one set's samples of a step should be matched with; a tensor no term needs is None.

    Attributes:
        labels: int64 (N,), or float32 (N, C) for mixed samples.
        logits: the teacher's, float32 (N, C).
        features: the teacher's, standardised, float32 (N, D).
    """

    labels: Tensor
    logits: Tensor | None = None
    features: Tensor | None = None


class Objective:
    """The objective of one trial.

    Attributes:
        weights: term -> its weight in the total, only the terms that are on: sup, kd, cckd, sup_mix,
            cckd_mix and imitation, which is the sum over D and D_mix.
        n_mixed: samples of D_mix in a step that has to be built, 0 where no term wants them.
    """

    def __init__(
        self, config: TrialConfig, log_prior_train: Tensor, teacher_log_prior: Tensor, *, n_mixed: int
    ) -> None:
        """Prepare the priors and choose the terms.

        Args:
            config: weights, tau, temperature and estimator.
            log_prior_train: log p_tr, float64 (C,), on the device of the logits to come.
            teacher_log_prior: log p^t, float64 (C,), on the same device.
            n_mixed: samples of D_mix a step would have.
        """
        wanted = {
            "sup": 1.0,
            "kd": config.kd_weight,
            "cckd": config.cckd_weight,
            "sup_mix": config.mix_weight,
            "cckd_mix": config.mix_weight * config.cckd_mix_weight,
            "imitation": config.feature_weight,
        }
        mixes = n_mixed > 0 and (config.mix_weight > 0 or config.feature_weight > 0)
        self.n_mixed = n_mixed if mixes else 0
        self.weights = {
            term: weight for term, weight in wanted.items() if weight > 0 and (mixes or not term.endswith("_mix"))
        }
        self._weights = torch.tensor(list(self.weights.values()), device=log_prior_train.device)
        self._temperature = config.temperature
        self._cckd = _ESTIMATORS[config.estimator]
        # Priors are formed in float64 and used in the logits' own precision.
        self._log_train = log_prior_train.float()
        self._log_uniform = torch.full_like(self._log_train, -log(len(log_prior_train)))
        self._log_student = student_log_prior(log_prior_train, config.tau).float()
        self._log_teacher = teacher_log_prior.float()

    @property
    def needs_logits(self) -> bool:
        """Whether a term reads the teacher's logits on D."""
        return "kd" in self.weights or "cckd" in self.weights

    @property
    def needs_mixed_logits(self) -> bool:
        """Whether a term reads the teacher's logits on D_mix."""
        return "cckd_mix" in self.weights

    @property
    def needs_features(self) -> bool:
        """Whether a term reads features, on D and on D_mix where there is one."""
        return "imitation" in self.weights

    def __call__(
        self, logits: Tensor, aligned: Tensor | None, plain: Targets, mixed: Targets | None
    ) -> dict[str, Tensor]:
        """Return term -> unweighted mean loss (a scalar), then 'total', their weighted sum.

        Args:
            logits: raw student logits (B + M, C), the B samples of D first, then the M of D_mix.
            aligned: student features after the alignment layer (B + M, D), where `needs_features`.
            plain: targets of the samples of D.
            mixed: targets of the samples of D_mix; None where `n_mixed` is 0.
        """
        n_plain = len(plain.labels)
        logits_plain, logits_mix = logits.float().split([n_plain, len(logits) - n_plain])
        terms = {"sup": losses.supervised(logits_plain, plain.labels, self._log_student, self._log_train)}
        if "kd" in self.weights:
            terms["kd"] = losses.kd(logits_plain, _required(plain.logits), self._temperature)
        if "cckd" in self.weights:
            terms["cckd"] = self._distil(logits_plain, _required(plain.logits), self._log_train)
        if "sup_mix" in self.weights:
            labels = _required(mixed).labels
            terms["sup_mix"] = losses.supervised(logits_mix, labels, self._log_student, self._log_uniform)
        if "cckd_mix" in self.weights:
            teacher_logits = _required(_required(mixed).logits)
            terms["cckd_mix"] = self._distil(logits_mix, teacher_logits, self._log_uniform)
        if "imitation" in self.weights:
            sets = [plain] if mixed is None else [plain, mixed]
            terms["imitation"] = losses.imitation(
                _required(aligned).float(), *(_required(targets.features) for targets in sets)
            )
        terms["total"] = torch.stack(list(terms.values())) @ self._weights
        return terms

    def _distil(self, logits: Tensor, teacher_logits: Tensor, log_set_prior: Tensor) -> Tensor:
        return self._cckd(
            logits,
            teacher_logits,
            student_log_prior=self._log_student,
            teacher_log_prior=self._log_teacher,
            log_set_prior=log_set_prior,
            temperature=self._temperature,
        )


def _required(value: _Given | None) -> _Given:
    assert value is not None, "a term that is on was given no target"
    return value
