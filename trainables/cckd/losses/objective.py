"""The weighted sum of the terms of terms.py over one step; only the terms that are on are computed.

total = sup_weight sup(D) + kd_weight kd(D) + cckd_weight cckd(D)
      + mix_weight sup(D_mix) + kd_mix_weight kd(D_mix) + cckd_mix_weight cckd(D_mix)
      + feature_weight imitation, which is the mean of imitation(D) and imitation(D_mix)
      + the terms of other methods, each times its own weight
"""

from functools import partial
from math import log
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.cckd.losses.closed_form import class_masses, distilled, log_distributions, supervised, weighted_terms
from trainables.cckd.losses.feature_imitation import Unaligned, imitation, imitation_unaligned
from trainables.cckd.losses.layout import Layout, Priors, flattened, lay_out, student_log_prior
from trainables.cckd.losses.setting import Setting
from trainables.cckd.losses.targets import PreparedTargets, Targets
from trainables.cckd.losses.terms import Form, Samples, Term, terms_on
from trainables.cckd.methods import Knobs

_Given = TypeVar("_Given")


class Objective:
    """The objective of one trial.

    Attributes:
        weights: name -> weight in the total, of the terms that are on, in the order of TERMS.
        n_mixed: samples of D_mix to build for each step; 0 where no term uses them.
        needs_logits: whether a term reads the teacher's logits on D.
        needs_mixed_logits: whether a term reads the teacher's logits on D_mix.
        to_uniform: log of the uniform prior minus the log of the student's prior, float32 (C,). Added to its logits it
            gives the log-posterior under the uniform prior (Bayes, as in closed_form.py). Zero at tau 1, and at tau 0
            where samples are drawn class-balanced.
        needs_features: whether a term reads features, on D and on D_mix where there is one.
    """

    def __init__(self, knobs: Knobs, counts: Tensor, teacher_log_prior: Tensor, *, n_mixed: int) -> None:
        """Choose the terms and prepare the priors.

        Args:
            knobs: weights, and what the terms read.
            counts: training images of each class, n, (C,), each at least 1, on the device of the logits to come.
            teacher_log_prior: log p^t, float64 (C,), on the same device.
            n_mixed: samples of D_mix that a step would have.
        """
        self._terms = terms_on(knobs)
        self.n_mixed = n_mixed if any(Samples.MIXED in term.samples for term in self._terms) else 0
        self.weights = {term.name: weight for term, weight in self._terms.items()}
        needed = {(term.needs, samples) for term in self._terms for samples in term.samples}
        self.needs_logits = ("logits", Samples.PLAIN) in needed
        self.needs_mixed_logits = ("logits", Samples.MIXED) in needed
        self.needs_features = ("features", Samples.PLAIN) in needed
        # Computed together, in the order of a layout's parts.
        self._joint = [*self._formed_by(Form.SUPERVISED), *self._formed_by(Form.DISTILLED)]
        self._joint_weights = torch.tensor([self._terms[term] for term in self._joint], device=counts.device)
        self._knobs, self._setting = knobs, Setting.of(knobs, counts)
        # Priors are formed in float64 and used in the logits' own precision.
        log_prior_train = torch.log(counts.double() / counts.sum())
        train = log_prior_train.float()
        uniform = torch.full_like(train, -log(len(train)))
        student = student_log_prior(log_prior_train, knobs.tau).float()
        mixed = flattened(log_prior_train, knobs.mix_balance).float()
        self._priors = Priors(train, mixed, uniform, student, teacher_log_prior.float())
        # Samples drawn class-balanced have the uniform prior, which tau then tilts as it tilts p_tr.
        drawn = uniform.double() if knobs.sampling == "class_balanced" else log_prior_train
        self.to_uniform = uniform - torch.log_softmax(drawn - knobs.tau * log_prior_train, dim=0).float()
        self._layouts: dict[tuple[int, int], Layout] = {}

    @property
    def needs_teacher(self) -> bool:
        """Whether a term reads anything of the teacher."""
        return self.needs_logits or self.needs_mixed_logits or self.needs_features

    def advance(self, progress: float) -> None:
        """Note the share of the training that is done, in [0, 1); terms may depend on it."""
        self._setting.progress.fill_(progress)

    def prepare(self, plain: Targets, mixed: Targets | None) -> PreparedTargets:
        """Prepare the targets of one step, or of several steps with the step as first dimension."""
        layout = self._layout(plain, mixed)
        one_hot = F.one_hot(plain.labels, len(self._priors.train)).float()
        labels = [
            one_hot if Samples.PLAIN in term.samples else _required(mixed).labels
            for term in self._formed_by(Form.SUPERVISED)
        ]
        log_teacher, teacher, masses = None, None, None
        if layout.distilled is not None:
            logits = [
                _required((plain if Samples.PLAIN in term.samples else _required(mixed)).logits)
                for term in self._formed_by(Form.DISTILLED)
            ]
            margins = _by_class(logits) + _required(layout.teacher_correction)
            sizes, temperature = layout.distilled.sizes, self._knobs.temperature
            log_teacher = log_distributions(margins, sizes, temperature, self._knobs.estimator)
            teacher = log_teacher.exp()
            if self._knobs.estimator == "batch_mass":
                masses = class_masses(margins, sizes, temperature)
                teacher = teacher * masses
        # Without a supervised term the labels of D stand there unused: a step then has a tensor to be counted by.
        prepared = PreparedTargets(_by_class(labels or [one_hot]), log_teacher, teacher, masses=masses)
        if plain.features is None:
            return prepared
        of_mixed = [] if mixed is None else [_required(mixed.features)]
        return prepared.with_features(torch.cat([plain.features, *of_mixed], dim=-2))

    def __call__(
        self,
        logits: Tensor,
        aligned: Tensor | Unaligned | None,
        plain: Targets,
        mixed: Targets | None,
        prepared: PreparedTargets | None = None,
    ) -> dict[str, Tensor]:
        """Return term -> unweighted mean loss (a scalar), then 'total', their weighted sum; only 'total' has gradients.

        Args:
            logits: raw student logits (B + M, C), the B samples of D first, then the M of D_mix.
            aligned: student features after the alignment layer (B + M, D), or features and layer, where
                `needs_features`.
            plain: targets of the samples of D.
            mixed: targets of the samples of D_mix; None where `n_mixed` is 0.
            prepared: what `prepare` returned for both, where it was called.
        """
        prepared = self.prepare(plain, mixed) if prepared is None else prepared
        layout = self._layout(plain, mixed)
        parts, forms = [], []
        if layout.supervised is not None:
            parts.append(layout.supervised)
            forms.append(partial(supervised, labels=prepared.labels))
        if layout.distilled is not None:
            parts.append(layout.distilled)
            forms.append(
                partial(
                    distilled,
                    log_target=_required(prepared.log_teacher),
                    target=_required(prepared.teacher),
                    sizes=layout.distilled.sizes,
                    temperature=self._knobs.temperature,
                    estimator=self._knobs.estimator,
                    masses=prepared.masses,
                )
            )
        total, losses = torch.zeros((), device=logits.device), {}
        if parts:
            total, values = weighted_terms(logits.float(), self._joint_weights, parts, forms)
            losses = dict(zip(self._joint, values.unbind(), strict=True))
        for term, weight in self._terms.items():
            if term in losses:
                continue
            if isinstance(term.formed_by, Form):
                losses[term] = _imitation(aligned, plain, mixed, prepared, layout)
            else:
                losses[term] = term.formed_by(*_on_set(term.samples[0], logits, plain, mixed), self._setting)
            total = total + weight * losses[term]
        return {term.name: losses[term] for term in self._terms} | {"total": total}

    def _formed_by(self, form: Form) -> list[Term]:
        return [term for term in self._terms if term.formed_by is form]

    def _layout(self, plain: Targets, mixed: Targets | None) -> Layout:
        sizes = plain.labels.shape[-1], 0 if mixed is None else mixed.labels.shape[-2]
        if sizes not in self._layouts:
            self._layouts[sizes] = lay_out(
                self._terms,
                *sizes,
                priors=self._priors,
                temperature=self._knobs.temperature,
                estimator=self._knobs.estimator,
            )
        return self._layouts[sizes]


def _on_set(samples: Samples, logits: Tensor, plain: Targets, mixed: Targets | None) -> tuple[Tensor, Targets]:
    n_plain = len(plain.labels)
    if samples is Samples.PLAIN:
        return logits[:n_plain].float(), plain
    return logits[n_plain:].float(), _required(mixed)


def _imitation(
    aligned: Tensor | Unaligned | None,
    plain: Targets,
    mixed: Targets | None,
    prepared: PreparedTargets,
    layout: Layout,
) -> Tensor:
    assert aligned is not None, "imitation needs features of the student"
    if isinstance(aligned, Unaligned):
        return imitation_unaligned(aligned, _required(prepared.features), _required(prepared.lengths), layout.shares)
    sets = [plain] if mixed is None else [plain, mixed]
    return imitation(aligned.float(), *(_required(targets.features) for targets in sets))


def _by_class(sets: list[Tensor]) -> Tensor:
    return torch.cat(sets, dim=-2).transpose(-1, -2).contiguous()


def _required(value: _Given | None) -> _Given:
    assert value is not None, "a term that is on lacks its target"
    return value
