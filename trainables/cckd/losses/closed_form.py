"""The losses on logits for both sets of a step at once, with their gradients in closed form.

All losses compare posteriors under the prior pi_S of the set that the samples come from: softmax(z + log pi_S - log p),
where p is the prior of the model itself. By Bayes, p(x|y) is proportional to p(y|x) / p(y), so a posterior divided by
its own prior leaves what the model knows of p(x|y), and the product with pi_S is a posterior again. Li et al., ICML
2024, PMLR 235:28204-28221.

Autograd's chains through the same losses one at a time are some two hundred operations on matrices as small as
(64, 10), half a millisecond a step, which a student of 8x8 images feels. These are forty. Matrices lie as (C, N): a
softmax over few classes then runs along the long side, ten times faster than along rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Estimator = Literal["batch", "prior"]

#: Takes margins z + log pi_S - log p (C, N); returns what each sample adds to its set's sum (N,), and the slope of the
#: sum by the margins (C, N).
Form = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Part:
    """One loss on one or two neighbouring sets of a step, n samples in all.

    Attributes:
        sizes: samples of each set.
        columns: where they lie among all samples of the step.
        correction: log pi_S - log p^s of each column's set, (C, n).
        shares: what a sample's addition counts in the term of each set, (sets, n).
        pull: what its slope counts in that of the weighted total, (n,).
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
        """Lay out sets: each has its correction (C,), size, scale from sum to term, and the term's weight.

        Args:
            corrections, sizes: as above, one a set.
            first: column of the first sample.
            scales: from a set's sum to its term.
            weights: from the term to what its slope by the margins counts in the total's by the logits.
        """
        per_set = corrections[0].new_tensor(scales)
        of_sample = [number for number, size in enumerate(sizes) for _ in range(size)]
        shares = torch.diag(per_set)[:, of_sample].contiguous()
        pull = (corrections[0].new_tensor(weights) * per_set)[of_sample]
        return cls(tuple(sizes), slice(first, first + len(of_sample)), spread(corrections, sizes), shares, pull)


def spread(columns: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """Repeat each set's column (C,) for its samples: (C, N)."""
    return torch.cat([column[:, None].expand(-1, size) for column, size in zip(columns, sizes, strict=True)], dim=1)


def supervised(margins: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy with labels (C, N) whose columns sum to 1, a `Form`.

    On the training set this is plain cross-entropy at tau = 0 and logit adjustment at tau = 1 (Menon et al., arXiv
    2007.07314).
    """
    log_guess = torch.log_softmax(margins, dim=0)
    return (labels * log_guess).sum(dim=0).neg_(), log_guess.exp_().sub_(labels)


def log_distributions(margins: Tensor, sizes: Sequence[int], temperature: float, estimator: Estimator) -> Tensor:
    """What the estimator compares, (..., C, N): over each sample's classes, or for `batch` over each set's samples."""
    posterior = torch.log_softmax(margins / temperature, dim=-2)
    return posterior if estimator == "prior" else _over_samples(posterior, sizes)


def distilled(
    margins: Tensor,
    log_target: Tensor,
    target: Tensor,
    *,
    sizes: Sequence[int],
    temperature: float,
    estimator: Estimator,
) -> tuple[Tensor, Tensor]:
    """KL from the teacher's `log_distributions` and their exponentials, (C, N) each, a `Form` but for T.

    The scales of the `Part` make a loss of the sums. Estimator `prior`: T^2 KL of the tempered posteriors, mean over
    samples. Estimator `batch`: T^2 mean over classes of KL(p^t(.|c) || p^s(.|c)), where p(x_n | c) is the tempered
    posterior normalised over the N samples, p(x) taken as uniform on the batch. Rare classes then weigh as much as
    frequent ones; the loss is zero where N = 1. The slope is by margins / T.
    """
    posterior = torch.log_softmax(margins / temperature, dim=0)
    log_guess = posterior if estimator == "prior" else _over_samples(posterior, sizes)
    additions = (log_target - log_guess).mul_(target).sum(dim=0)
    slope = log_guess.exp_().sub_(target)
    if estimator == "batch":  # on through the softmax over classes
        slope.addcmul_(posterior.exp_(), slope.sum(dim=0, keepdim=True), value=-1.0)
    return additions, slope


def weighted_terms(
    logits: Tensor, weights: Tensor, parts: Sequence[Part], forms: Sequence[Form]
) -> tuple[Tensor, Tensor]:
    """Return the weighted total, with its gradient, and the terms (terms,), a part's sets one after the other, without.

    Args:
        logits: raw student logits (N, C).
        weights: of the terms, (terms,).
        parts, forms: what is computed where.
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
