"""Interactions of knobs: the variance that products of two knobs explain beyond the effect of each knob.

A polynomial chaos expansion of order two (Sudret 2008), fitted by least squares: Legendre polynomials of each knob's
position (contrasts of a choice) up to degree four, as the number of trials allows. For each pair follow the products of
degree one and two, orthogonal to all main effects. At a hundred trials it finds planted interactions that the partial
dependence of a forest misses: a forest has to split on a knob before it can find its interaction with another.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.polynomial.legendre import legvander
from optuna.distributions import CategoricalDistribution

from analysis.search.trial_matrix import Bools, Floats, TrialMatrix
from search_spaces.knob import Knob

#: The fewest degrees of freedom beside the main effects.
MIN_FREE = 20

_N_PERMUTATIONS = 500


@dataclass(frozen=True)
class Interactions:
    """Strengths of all pairs.

    Attributes:
        frame: one row per pair, the strongest first: x_knob, y_knob, strength, p. `strength` is the share of the
            target's variance, corrected for the number of products, so chance can bring it below 0. `p` is the share of
            permutations of the residuals in which the strongest of all pairs is as strong; so it holds for the whole
            family of pairs. Empty
            where fewer than MIN_FREE degrees of freedom are left.
        free: degrees of freedom beside the main effects.
    """

    frame: pd.DataFrame
    free: int


def interactions(
    matrix: TrialMatrix, y: Floats, *, n_permutations: int = _N_PERMUTATIONS, seed: int = 0
) -> Interactions:
    """Measure every pair of the knobs of `matrix` for `y` (N,)."""
    bases = _bases(matrix, 2)
    # A kink that the knob's own polynomials cannot follow would look like an interaction.
    for degree in (4, 3, 2):
        mains = _orthonormal(np.column_stack([np.ones(len(y)), *_bases(matrix, degree)]))
        free = len(y) - mains.shape[1]
        if free >= 2 * MIN_FREE:
            break
    pairs = list(combinations(range(len(bases)), 2))
    if free < MIN_FREE or not pairs or not np.ptp(y):
        return Interactions(pd.DataFrame(columns=["x_knob", "y_knob", "strength", "p"]), free)
    total = float(((y - y.mean()) ** 2).sum())
    rest = _cleaned(y[:, None], mains)
    rng = np.random.default_rng(seed)
    shuffled = _cleaned(np.column_stack([rng.permutation(rest[:, 0]) for _ in range(n_permutations)]), mains)
    # The second projection shortens the residuals, and shorter residuals could not give strengths as large.
    shuffled *= np.linalg.norm(rest) / np.linalg.norm(shuffled, axis=0)
    strengths, largest = [], np.full(n_permutations, -np.inf)
    for i, j in pairs:
        products = (bases[i][:, :, None] * bases[j][:, None, :]).reshape(len(y), -1)
        axes = _orthonormal(_cleaned(products, mains))
        strengths.append(float(_strength(axes, rest, free, total)[0]))
        largest = np.maximum(largest, _strength(axes, shuffled, free, total))
    frame = pd.DataFrame(
        {
            "x_knob": [matrix.names[i] for i, _ in pairs],
            "y_knob": [matrix.names[j] for _, j in pairs],
            "strength": strengths,
            "p": [(1 + int((largest >= value).sum())) / (1 + n_permutations) for value in strengths],
        }
    )
    return Interactions(frame.sort_values("strength", ascending=False, ignore_index=True, kind="stable"), free)


def _bases(matrix: TrialMatrix, degree: int) -> list[Floats]:
    columns = zip(matrix.knobs, matrix.x.T, matrix.present.T, strict=True)
    return [_basis(knob, column, there, degree) for knob, column, there in columns]


def _basis(knob: Knob, column: Floats, there: Bools, degree: int) -> Floats:
    """(N, k) functions of one knob; 0 where a conditional knob is absent."""
    if isinstance(knob.distribution, CategoricalDistribution):
        values = np.unique(column[there])
        functions = np.column_stack([column == value for value in values[1:]]).astype(float)
    else:
        functions = legvander(2 * column - 1, degree)[:, 1:]
    return functions * there[:, None]


def _orthonormal(columns: Floats) -> Floats:
    """An orthonormal basis of the columns' span; directions that exist only by rounding are dropped."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, sizes > 1e-8 * np.sqrt(len(columns))])


def _cleaned(columns: Floats, basis: Floats) -> Floats:
    return np.asarray(columns - basis @ (basis.T @ columns))


def _strength(axes: Floats, rest: Floats, free: int, total: float) -> Floats:
    """Explained share of `total`, less the share of as many random directions; one value per column of `rest`."""
    n_axes = axes.shape[1]
    explained = ((axes.T @ rest) ** 2).sum(axis=0)
    noise = ((rest**2).sum(axis=0) - explained) / max(1, free - n_axes)
    return np.asarray((explained - n_axes * noise) / total)
