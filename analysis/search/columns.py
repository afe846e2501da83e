"""Knobs as columns of a linear model: polynomials, a column per choice, products; and the stages of the search."""

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution

from analysis.search.trial_matrix import Bools, Floats, TrialMatrix
from analysis.stats.effect_curve import polynomials
from search_spaces.knob import Knob


def is_choice(knob: Knob) -> bool:
    """Return whether the knob's values have no order."""
    return isinstance(knob.distribution, CategoricalDistribution)


def knob_columns(knob: Knob, positions: Floats, there: Bools, degree: int) -> Floats:
    """Return (N, k) functions of one knob: polynomials, or a column per choice but one; 0 where the knob is absent.

    Args:
        knob: of the search.
        positions: of the trials on the knob's scale, (N,).
        there: which trials have the knob, (N,).
        degree: of the polynomials.
    """
    if is_choice(knob):
        values = np.unique(positions[there])
        functions = (positions[:, None] == values[1:]).astype(float)
    else:
        functions = polynomials(positions, degree)
    return np.asarray(functions * there[:, None])


def columns_of(matrix: TrialMatrix, degree: int) -> list[Floats]:
    """Return `knob_columns` of every knob."""
    parts = zip(matrix.knobs, matrix.x.T, matrix.present.T, strict=True)
    return [knob_columns(knob, column, there, degree) for knob, column, there in parts]


def products(x: Floats, y: Floats) -> Floats:
    """Return (N, k * l) products of the columns x (N, k) and y (N, l) of two knobs."""
    return np.asarray((x[:, :, None] * y[:, None, :]).reshape(len(x), -1))


def stage_columns(stage: npt.NDArray[np.int64]) -> Floats:
    """Return ones, and one column per stage of the search after the first that is present, (N, S)."""
    return np.column_stack([np.ones(len(stage)), *(stage == one for one in np.unique(stage)[1:])]).astype(float)
