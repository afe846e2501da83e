"""Columns of a linear model: orthogonal over an even range, one per choice, nothing where a knob is absent."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from analysis.search.columns import columns_of, knob_columns, stage_columns
from analysis.search.trial_matrix import TrialMatrix
from analysis.stats.effect_curve import polynomials
from search_spaces.knob import Knob

NUMBER = Knob("number", FloatDistribution(0.0, 1.0), "1", "a reason", 0.5)
CHOICE = Knob("choice", CategoricalDistribution(("a", "b", "c")), "choice", "a reason", "a")


def test_polynomials_are_orthonormal_over_an_even_range() -> None:
    middles = (np.arange(20_000) + 0.5) / 20_000
    columns = polynomials(middles, 4)
    np.testing.assert_allclose(columns.T @ columns / len(middles), np.eye(4), atol=1e-6)
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-6)


@pytest.mark.parametrize("there", [[True] * 5, [True, False, True, True, True]])
def test_a_choice_has_a_column_per_value_but_one_and_zeros_where_it_is_absent(there: list[bool]) -> None:
    columns = knob_columns(CHOICE, np.array([0.0, 0.5, 0.5, 1.0, 0.0]), np.array(there), 2)
    assert columns[:, 0].tolist() == [0, int(there[1]), 1, 0, 0]
    assert columns[:, 1].tolist() == [0, 0, 0, 1, 0]


def test_every_knob_of_a_matrix_has_its_columns() -> None:
    x, present = np.array([[0.2, 0.0], [0.9, 1.0], [0.5, 0.5]]), np.array([[True, True], [True, True], [False, True]])
    number, choice = columns_of(TrialMatrix((NUMBER, CHOICE), x, present, ()), 2)
    np.testing.assert_allclose(number, polynomials(x[:, 0], 2) * [[1], [1], [0]])
    assert choice.shape == (3, 2)


def test_stages_have_ones_and_a_column_per_further_stage() -> None:
    assert stage_columns(np.array([0, 1, 1])).tolist() == [[1, 0], [1, 1], [1, 1]]
    assert stage_columns(np.array([1, 1])).tolist() == [[1], [1]]
