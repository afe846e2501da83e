"""The losses on logits for both sets of a step at once, with their gradients in closed form.

All losses compare posteriors under the prior pi_S of the set that the samples come from: softmax(z + log pi_S - log p),
where p is the prior of the model itself. By Bayes, p(x|y) is proportional to p(y|x) / p(y). A posterior divided by its
own prior is therefore the model's estimate of p(x|y). Its product with pi_S is a posterior again (Li et al., ICML 2024,
PMLR 235:28204-28221).

Autograd runs about two hundred operations for the same losses one at a time, on matrices as small as (64, 10). That is
half a millisecond per step, noticeable for a student of 8x8 images. This module runs forty. Matrices lie as (C, N): a
softmax over few classes then runs along the long side, ten times faster than along rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

#: `prior_uniform` differs from `prior` by the set's prior alone, which the `Part` and the targets hold.
Estimator = Literal["batch", "batch_mass", "prior", "prior_uniform"]

#: The estimators whose distributions are over the samples of a set.
OVER_SAMPLES: tuple[Estimator, ...] = ("batch", "batch_mass")

#: Takes margins z + log pi_S - log p (C, N). Returns the loss of each sample (N,), and the gradient of their sum with
#: respect to the margins (C, N).
Form = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Part:
    """One loss on one or two neighbouring sets of a step, n samples in all.

    Attributes:
        sizes: number of samples of each set.
        columns: where these samples lie among all samples of the step.
        correction: log pi_S - log p^s, repeated for the samples of each set, (C, n).
        shares: factor from each sample's loss to the term of each set, (sets, n).
        pull: factor from each sample's gradient by the margins to the gradient of the weighted total, (n,).
    """

    sizes: tuple[int, ...]
    columns: slice
    correction: Tensor
    shares: Tensor
    pull: Tensor

    @classmethod
    def of(
        cls,
        corrections: Sequence[Tensor],
        sizes: Sequence[int],
        *,
        first: int,
        scales: Sequence[float],
        weights: Sequence[float],
    ) -> "Part":
        """Lay out one or two neighbouring sets.

        Args:
            corrections, sizes: as in the attributes, one (C,) and one number per set.
            first: column of the first sample.
            scales: factor from the sum over a set's samples to its term.
            weights: factor from a term's gradient by the margins to the total's gradient by the logits.
        """
        per_set = corrections[0].new_tensor(scales)
        of_sample = [number for number, size in enumerate(sizes) for _ in range(size)]
        shares = torch.diag(per_set)[:, of_sample].contiguous()
        pull = (corrections[0].new_tensor(weights) * per_set)[of_sample]
        return cls(tuple(sizes), slice(first, first + len(of_sample)), spread(corrections, sizes), shares, pull)


def spread(columns: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """Repeat the column (C,) of each set for all of its samples: (C, N)."""
    return torch.cat([column[:, None].expand(-1, size) for column, size in zip(columns, sizes, strict=True)], dim=1)


def supervised(margins: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy with labels (C, N) whose columns sum to 1, a `Form`.

    On the training set this is plain cross-entropy at tau = 0 and logit adjustment at tau = 1 (Menon et al., arXiv
    2007.07314).
    """
    log_guess = torch.log_softmax(margins, dim=0)
    return (labels * log_guess).sum(dim=0).neg_(), log_guess.exp_().sub_(labels)


def log_distributions(margins: Tensor, sizes: Sequence[int], temperature: float, estimator: Estimator) -> Tensor:
    """Return the log-distributions that the estimator compares, (..., C, N).

    `batch` and `batch_mass`: over the samples of each set. The others: over the classes of each sample.
    """
    posterior = torch.log_softmax(margins / temperature, dim=-2)
    return _over_samples(posterior, sizes) if estimator in OVER_SAMPLES else posterior


def class_masses(margins: Tensor, sizes: Sequence[int], temperature: float) -> Tensor:
    """Return C times the mean of each class's tempered posterior over the samples of each set, for every sample.

    `batch_mass` weighs its classes by them. Where classes are many, most have no sample in a batch, and the teacher
    gives them next to no mass; `batch` weighs them like the others, so they make most of its gradient.

    Args:
        margins: of the teacher, (..., C, N).
        sizes: number of samples of each set.
        temperature: T.
    """
    posterior = torch.softmax(margins / temperature, dim=-2)
    parts = posterior.split(tuple(sizes), dim=-1)
    return torch.cat([part.mean(dim=-1, keepdim=True).expand_as(part) for part in parts], dim=-1) * margins.shape[-2]


def distilled(
    margins: Tensor,
    log_target: Tensor,
    target: Tensor,
    *,
    sizes: Sequence[int],
    temperature: float,
    estimator: Estimator,
    masses: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """KL from the teacher's `log_distributions`, given with their exponentials, (C, N) each; a `Form`.

    With `masses`, the `class_masses` of the teacher for `batch_mass`, the exponentials are multiplied by them.

    The gradient is by margins / T, not by the margins: the weights of the `Part` hold 1 / T, its scales T^2.
    Estimators `prior` and `prior_uniform`: T^2 KL of the tempered posteriors, mean over samples. Estimator `batch`: T^2
    times the mean over classes of KL(p^t(.|c) || p^s(.|c)). There p(x_n | c) is the tempered posterior normalised over
    the N samples, with p(x) uniform on the batch. Rare classes then weigh as much as frequent ones; the loss is zero
    where N = 1. Estimator `batch_mass`: the same, with the mean over classes weighed by the teacher's mass of each.
    """
    posterior = torch.log_softmax(margins / temperature, dim=0)
    log_guess = _over_samples(posterior, sizes) if estimator in OVER_SAMPLES else posterior
    additions = (log_target - log_guess).mul_(target).sum(dim=0)
    slope = log_guess.exp_()
    slope = slope.sub_(target) if masses is None else slope.mul_(masses).sub_(target)
    if estimator in OVER_SAMPLES:  # the chain rule through the softmax over classes
        slope.addcmul_(posterior.exp_(), slope.sum(dim=0, keepdim=True), value=-1.0)
    return additions, slope


def weighted_terms(
    logits: Tensor, weights: Tensor, parts: Sequence[Part], forms: Sequence[Form]
) -> tuple[Tensor, Tensor]:
    """Return the weighted total, which has a gradient, and the terms (terms,), which have none.

    The terms come part by part, and within a part set by set.

    Args:
        logits: raw student logits (N, C).
        weights: of the terms, (terms,).
        parts, forms: each part with the form of its losses.
    """
    total, terms = _WeightedTerms.apply(logits, weights, parts, forms)
    return total, terms


class _WeightedTerms(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, weights: Tensor, parts: Sequence[Part], forms: Sequence[Form]
    ) -> tuple[Tensor, Tensor]:
        by_class = logits.t()
        slope = torch.zeros(by_class.shape, dtype=logits.dtype, device=logits.device)
        found = []
        for part, form in zip(parts, forms, strict=True):
            additions, slopes = form(by_class[:, part.columns] + part.correction)
            slope[:, part.columns].addcmul_(slopes, part.pull)
            found.append(torch.mv(part.shares, additions))
        terms = torch.cat(found)
        ctx.save_for_backward(slope)
        ctx.mark_non_differentiable(terms)
        return torch.dot(terms, weights), terms

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        return (slope * grad).t(), None, None, None


def _over_samples(posterior: Tensor, sizes: Sequence[int]) -> Tensor:
    return torch.cat([torch.log_softmax(part, dim=-1) for part in posterior.split(tuple(sizes), dim=-1)], dim=-1)
