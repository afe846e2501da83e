"""Where the sets of a step lie among its samples, and which priors, scales and weights hold there for each loss."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.cckd.losses.closed_form import Estimator, Part, spread


@dataclass(frozen=True, eq=False)
class Priors:
    """Log priors (C,) in the precision of the logits: p_tr, uniform, p^s and p^t of METHOD's symbols."""

    train: Tensor
    uniform: Tensor
    student: Tensor
    teacher: Tensor


@dataclass(frozen=True, eq=False)
class Layout:
    """A step of B samples of D, then M of D_mix.

    Attributes:
        supervised: the sets with a supervised term.
        distilled: the sets with a class-conditional term, None where there is none.
        teacher_correction: log pi_S - log p^t of each column of `distilled`, (C, n).
        shares: 1 over the size of each sample's set, (B + M,).
    """

    supervised: Part
    distilled: Part | None
    teacher_correction: Tensor | None
    shares: Tensor


def lay_out(
    weights: Mapping[str, float],
    n_plain: int,
    n_mixed: int,
    *,
    priors: Priors,
    temperature: float,
    estimator: Estimator,
) -> Layout:
    """Lay out a step whose terms and their weights are `weights`."""
    sizes = {"": n_plain} | ({"_mix": n_mixed} if n_mixed else {})
    set_priors = {"": priors.train, "_mix": priors.uniform}

    def part(loss: str, scales: Mapping[str, float], slope: float) -> Part | None:
        on = [name for name in sizes if loss + name in weights]
        if not on:
            return None
        return Part.of(
            [set_priors[name] - priors.student for name in on],
            [sizes[name] for name in on],
            first=0 if on[0] == "" else n_plain,
            scales=[scales[name] for name in on],
            weights=[slope * weights[loss + name] for name in on],
        )

    means = {name: 1.0 / size for name, size in sizes.items()}
    # T^2 of the loss; the mean is over classes where the distributions are over samples.
    n_classes = len(priors.train)
    scales = {name: temperature**2 * (1.0 / n_classes if estimator == "batch" else means[name]) for name in sizes}
    supervised, distilled = part("sup", means, 1.0), part("cckd", scales, 1.0 / temperature)
    assert supervised is not None, "every method has a supervised term"
    correction = None
    if distilled is not None:
        on = [name for name in sizes if "cckd" + name in weights]
        correction = spread([set_priors[name] - priors.teacher for name in on], distilled.sizes)
    shares = torch.cat([priors.train.new_full((size,), means[name]) for name, size in sizes.items()])
    return Layout(supervised, distilled, correction, shares)
