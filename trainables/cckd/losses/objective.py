"""ACCKD's weighted sum of losses over one step, computing only the terms that are on.

total = sup(D) + kd_weight kd(D) + cckd_weight cckd(D) + mix_weight [sup(D_mix) + cckd_mix_weight cckd(D_mix)]
      + feature_weight [imitation(D) + imitation(D_mix)]
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import log
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.cckd.config import TrialConfig
from trainables.cckd.losses import definitions, feature_imitation
from trainables.cckd.losses.closed_form import distilled, log_distributions, supervised, weighted_terms
from trainables.cckd.losses.feature_imitation import Unaligned
from trainables.cckd.losses.layout import Layout, Priors, lay_out
from trainables.cckd.losses.prepared_targets import Aims
from trainables.cckd.losses.priors import student_log_prior

_Given = TypeVar("_Given")


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

    def steps(self) -> Iterator["Targets"]:
        """Those of one step after the other, where the steps are the first dimension; without features."""
        if self.logits is None:
            return map(Targets, self.labels.unbind())
        return map(Targets, self.labels.unbind(), self.logits.unbind())


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
        # Computed together; in the order of a layout's parts.
        self._joint: list[str] = [term for term in ("sup", "sup_mix", "cckd", "cckd_mix") if term in self.weights]
        self._joint_weights = torch.tensor([self.weights[term] for term in self._joint], device=log_prior_train.device)
        self._temperature = config.temperature
        self._estimator = config.estimator
        # Priors are formed in float64 and used in the logits' own precision.
        train = log_prior_train.float()
        uniform = torch.full_like(train, -log(len(train)))
        student = student_log_prior(log_prior_train, config.tau).float()
        self._priors = Priors(train, uniform, student, teacher_log_prior.float())
        self._n_classes = len(train)
        self._layouts: dict[tuple[int, int], Layout] = {}

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

    def aims(self, plain: Targets, mixed: Targets | None) -> Aims:
        """Prepare the targets of one step, or of several with a dimension more in front."""
        layout = self._layout(plain, mixed)
        labels = [F.one_hot(plain.labels, self._n_classes).float()]
        if "sup_mix" in self.weights:
            labels.append(_required(mixed).labels)
        log_teacher = None
        if layout.distilled is not None:
            logits = [_required(plain.logits)] if "cckd" in self.weights else []
            logits += [_required(_required(mixed).logits)] if "cckd_mix" in self.weights else []
            log_teacher = log_distributions(
                _by_class(logits) + _required(layout.teacher_correction),
                layout.distilled.sizes,
                self._temperature,
                self._estimator,
            )
        aims = Aims(_by_class(labels), log_teacher, None if log_teacher is None else log_teacher.exp())
        if plain.features is None:
            return aims
        of_mixed = [] if mixed is None else [_required(mixed.features)]
        return aims.with_features(torch.cat([plain.features, *of_mixed], dim=-2))

    def __call__(
        self,
        logits: Tensor,
        aligned: Tensor | Unaligned | None,
        plain: Targets,
        mixed: Targets | None,
        aims: Aims | None = None,
    ) -> dict[str, Tensor]:
        """Return term -> unweighted mean loss (a scalar), then 'total', their weighted sum, which has the gradient.

        Args:
            logits: raw student logits (B + M, C), the B samples of D first, then the M of D_mix.
            aligned: student features after the alignment layer (B + M, D), or what they would be made of, where
                `needs_features`.
            plain: targets of the samples of D.
            mixed: targets of the samples of D_mix; None where `n_mixed` is 0.
            aims: what `aims` makes of both, where that has been done.
        """
        aims = self.aims(plain, mixed) if aims is None else aims
        layout = self._layout(plain, mixed)
        parts, forms = [layout.supervised], [partial(supervised, labels=aims.labels)]
        if layout.distilled is not None:
            parts.append(layout.distilled)
            forms.append(
                partial(
                    distilled,
                    log_target=_required(aims.log_teacher),
                    target=_required(aims.teacher),
                    sizes=layout.distilled.sizes,
                    temperature=self._temperature,
                    estimator=self._estimator,
                )
            )
        total, values = weighted_terms(logits.float(), self._joint_weights, parts, forms)
        terms = dict(zip(self._joint, values.unbind(), strict=True))
        if "kd" in self.weights:
            terms["kd"] = definitions.kd(
                logits[: len(plain.labels)].float(), _required(plain.logits), self._temperature
            )
            total = total + self.weights["kd"] * terms["kd"]
        if "imitation" in self.weights:
            terms["imitation"] = self._imitation(aligned, plain, mixed, aims, layout)
            total = total + self.weights["imitation"] * terms["imitation"]
        return {term: terms[term] for term in self.weights} | {"total": total}

    def _imitation(
        self, aligned: Tensor | Unaligned | None, plain: Targets, mixed: Targets | None, aims: Aims, layout: Layout
    ) -> Tensor:
        assert aligned is not None, "imitation was given no features of the student"
        if isinstance(aligned, Unaligned):
            shares = layout.shares
            return feature_imitation.imitation(aligned, _required(aims.features), _required(aims.lengths), shares)
        sets = [plain] if mixed is None else [plain, mixed]
        return definitions.imitation(aligned.float(), *(_required(targets.features) for targets in sets))

    def _layout(self, plain: Targets, mixed: Targets | None) -> Layout:
        sizes = plain.labels.shape[-1], 0 if mixed is None else mixed.labels.shape[-2]
        if sizes not in self._layouts:
            self._layouts[sizes] = lay_out(
                self.weights, *sizes, priors=self._priors, temperature=self._temperature, estimator=self._estimator
            )
        return self._layouts[sizes]


def _by_class(sets: list[Tensor]) -> Tensor:
    return torch.cat(sets, dim=-2).transpose(-1, -2).contiguous()


def _required(value: _Given | None) -> _Given:
    assert value is not None, "a term that is on was given no target"
    return value
