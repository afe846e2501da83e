"""The evidence for a variable's effect beside other variables, in the values and in permutations of them.

Many variables are tested beside the same values. What they share is computed once: the permutations, and the products
of all columns with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import special

from analysis.stats.mixed_model import Floats, MixedModel

#: Share of the squares that always counts as noise: a perfect fit has a large F, not an infinite one.
_LEAST_REST = 1e-12

#: A direction of the columns that is so much smaller than the largest one is none.
_LEAST_SIZE = 1e-9

#: Share of the variance that all variables but the tested one are taken together to explain.
_SHARE_OF_OTHERS = 0.5


@dataclass(frozen=True)
class Contrast:
    """What a variable is tested for: columns (n, k), their weights (k,) in turn, and how many times rarer it is."""

    columns: Floats
    weights: Floats
    rarer: float = 1.0


@dataclass(frozen=True)
class PermutedValues:
    """Values and their permutations beside variables, each of which can be tested with all others as random effects.

    Attributes:
        fixed: (n, p) orthonormal columns that are taken out.
        drawn: (n, 1 + R) the values, and what the fixed columns leave of them in each order.
        beside: variable -> its columns (n, q), for each that varies.
        sizes: variable -> variance of its columns.
        within: the products of `fixed`, then of all columns `beside`, with `drawn`, (p + q, 1 + R).
        whole: (1 + R,) sums of squares of `drawn`.
    """

    fixed: Floats
    drawn: Floats
    beside: Mapping[int, Floats]
    sizes: Mapping[int, float]
    within: Floats
    whole: Floats

    @classmethod
    def of(cls, values: Floats, fixed: Floats, variables: Mapping[int, Floats], orders: npt.NDArray[np.int64]) -> Self:
        """Put n values in the R orders of `orders` (n, R) (Freedman & Lane 1983)."""
        left = values - fixed @ (fixed.T @ values)
        drawn = np.column_stack([values, left[orders]])
        beside = {key: columns for key, columns in variables.items() if np.ptp(columns, axis=0).any()}
        sizes = {key: float(columns.var(axis=0).sum()) for key, columns in beside.items()}
        within = np.column_stack([fixed, *beside.values()]).T @ drawn
        return cls(fixed, drawn, beside, sizes, within, np.square(drawn).sum(axis=0))

    def evidence(self, variable: int, contrasts: Sequence[Contrast]) -> list[Floats]:
        """Return the -log p of each contrast of a variable, (1 + R,) each: for the values, and for each order of them.

        It is 0 where the fixed columns leave nothing of the values, such as a recall of 0 in every trial.
        """
        model, within = self._without(variable)
        total = model.squares(within, self.whole)
        if total[0] <= _LEAST_REST * self.whole[0] / model.noise:
            return [np.zeros(len(total)) for _ in contrasts]
        return [_log_p(contrast, model, self.drawn, total) for contrast in contrasts]

    def _without(self, variable: int) -> tuple[MixedModel, Floats]:
        """Return the model of all variables but one, and the rows of `within` of its columns."""
        others = [key for key in self.beside if key != variable]
        share = _SHARE_OF_OTHERS / (1 - _SHARE_OF_OTHERS) / max(1, len(others))
        ratios = share / np.array([self.sizes[key] for key in others])
        model = MixedModel.given(self.drawn[:, 0], self.fixed, [self.beside[key] for key in others], ratios)
        owners = np.repeat([-1, *self.beside], [self.fixed.shape[1], *(each.shape[1] for each in self.beside.values())])
        return model, self.within[owners != variable]


def orthonormal(columns: Floats, least: float | None = None) -> Floats:
    """Return orthonormal columns that span `columns` (n, k).

    Args:
        columns: any, dependent ones too.
        least: size of a direction that exists only by rounding; None for a share of the largest one's.
    """
    axes, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(axes[:, sizes > (_LEAST_SIZE * sizes.max() if least is None else least)])


def _log_p(contrast: Contrast, model: MixedModel, drawn: Floats, total: Floats) -> Floats:
    """Return (R,) the -log p of a contrast beside the model of the other variables.

    `drawn` (n, R) are R sets of values, and `total` (R,) the squares that the model leaves of them. The sum of squares
    of the columns in turn, times their weights, is held against F by Satterthwaite's degrees of freedom (1946).
    """
    columns = contrast.columns
    n, width = columns.shape
    free = n - model.n_fixed - width
    if free <= 0:
        return np.zeros(len(total))
    cleaned = model.cleaned(columns)
    inner = columns.T @ cleaned
    inner += (1e-9 * np.trace(inner) + 1e-12) * np.eye(width)
    squares = np.square(np.linalg.solve(np.linalg.cholesky(inner), cleaned.T @ drawn))  # (k, R)
    explained, weights = squares.sum(axis=0).clip(0, total), contrast.weights
    rest = (total - explained).clip(_LEAST_REST * total) / free
    ratio, turns = weights @ squares / weights.sum() / rest, weights.sum() ** 2 / np.square(weights).sum()
    with np.errstate(divide="ignore"):  # a probability below the smallest number
        return np.asarray(-np.log(special.fdtrc(turns, free, ratio)) - np.log(contrast.rarer))
