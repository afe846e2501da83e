"""Where the samples of D and D_mix lie in a step, and the priors, scales and weights of each joint loss there."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.cckd.losses.closed_form import OVER_SAMPLES, Estimator, Part, spread
from trainables.cckd.losses.terms import Form, Samples, Term


@dataclass(frozen=True, eq=False)
class Priors:
    """Log priors (C,) in the precision of the logits: p_tr, of D_mix, uniform, p^s, p^t (symbols: docs/method.md)."""

    train: Tensor
    mixed: Tensor
    uniform: Tensor
    student: Tensor
    teacher: Tensor


def flattened(log_prior: Tensor, by: float) -> Tensor:
    """Return the log of the prior that is proportional to prior^(1 - by), (C,): itself at 0, uniform at 1."""
    return torch.log_softmax((1.0 - by) * log_prior, dim=0)


def student_log_prior(log_prior_train: Tensor, tau: float) -> Tensor:
    """Return log p^s (C,), the label prior inside the logits of a logit-adjusted student.

    p^s is proportional to p_tr^(1 - tau): uniform at tau = 1, p_tr at tau = 0.

    Training minimises CE(z + log p_tr - log p^s, y). At the optimum z + log p_tr - log p^s is the log-posterior under
    p_tr, so z itself is the log-posterior under the prior p^s (Bayes; Menon et al., arXiv 2007.07314, at tau = 1).

    Args:
        log_prior_train: log p_tr (C,), finite.
        tau: strength of logit adjustment, >= 0; above 1 the student leans towards rare classes.
    """
    return flattened(log_prior_train, tau)


@dataclass(frozen=True, eq=False)
class Layout:
    """The layout of a step with B samples of D, then M of D_mix.

    Attributes:
        supervised, distilled: the sets with a supervised and with a class-conditional term, None where there is none.
        teacher_correction: log pi_S - log p^t of each column of `distilled`, (C, n).
        shares: share of each sample in the mean over the sets of their means, (B + M,); they add up to 1.
    """

    supervised: Part | None
    distilled: Part | None
    teacher_correction: Tensor | None
    shares: Tensor


def lay_out(
    weights: Mapping[Term, float],
    n_plain: int,
    n_mixed: int,
    *,
    priors: Priors,
    temperature: float,
    estimator: Estimator,
) -> Layout:
    """Lay out a step with `n_plain` samples of D and `n_mixed` of D_mix, for the terms and weights of an objective."""
    sizes = {Samples.PLAIN: n_plain} | ({Samples.MIXED: n_mixed} if n_mixed else {})
    log_priors = {Samples.PLAIN: priors.train, Samples.MIXED: priors.mixed}
    distilled_priors = dict.fromkeys(Samples, priors.uniform) if estimator == "prior_uniform" else log_priors

    def part(
        form: Form, log_priors: Mapping[Samples, Tensor], scales: Mapping[Samples, float], slope: float
    ) -> tuple[list[Samples], Part] | None:
        on = {term.samples[0]: weight for term, weight in weights.items() if term.formed_by is form}
        if not on:
            return None
        return list(on), Part.of(
            [log_priors[samples] - priors.student for samples in on],
            [sizes[samples] for samples in on],
            first=0 if Samples.PLAIN in on else n_plain,
            scales=[scales[samples] for samples in on],
            weights=[slope * weight for weight in on.values()],
        )

    means = {samples: 1.0 / size for samples, size in sizes.items()}
    # T^2 belongs to the loss. The batch estimator averages over classes, the distributions run over samples.
    n_classes = len(priors.train)
    scales = {
        samples: temperature**2 * (1.0 / n_classes if estimator in OVER_SAMPLES else mean)
        for samples, mean in means.items()
    }
    supervised = part(Form.SUPERVISED, log_priors, means, 1.0)
    distilled = part(Form.DISTILLED, distilled_priors, scales, 1.0 / temperature)
    labelled = None if supervised is None else supervised[1]
    shares = torch.cat([priors.train.new_full((size,), means[samples] / len(sizes)) for samples, size in sizes.items()])
    if distilled is None:
        return Layout(labelled, None, None, shares)
    on, joint = distilled
    correction = spread([distilled_priors[samples] - priors.teacher for samples in on], joint.sizes)
    return Layout(labelled, joint, correction, shares)
