"""The evidence beside other variables is that of the whole mixed model, computed with matrices of all values."""

import numpy as np
import pytest
from scipy import stats

from analysis.stats.permuted_evidence import Contrast, PermutedValues, orthonormal


@pytest.mark.parametrize("seed", range(3))
def test_the_evidence_is_that_of_dense_matrices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, n_orders = 40, 7
    fixed = orthonormal(np.column_stack([np.ones(n), rng.random(n) < 0.5]).astype(float))
    variables = {k: rng.normal(size=(n, width)) for k, width in enumerate((2, 1, 3))} | {9: np.ones((n, 2))}
    y = 0.7 + 0.1 * variables[1][:, 0] + 0.1 * rng.normal(size=n)
    orders = np.argsort(rng.random((n, n_orders)), axis=0)
    shape = Contrast(variables[0], np.array([1.0, 0.7]), 10.0)
    (found,) = PermutedValues.of(y, fixed, variables, orders).evidence(0, [shape])

    # The other variables that vary share half of the variance evenly: ratios to the noise add up to 1.
    covariance = np.eye(n) + sum(0.5 * x @ x.T / x.var(axis=0).sum() for x in (variables[1], variables[2]))
    inverse = np.linalg.inv(covariance)
    rest = inverse - inverse @ fixed @ np.linalg.inv(fixed.T @ inverse @ fixed) @ fixed.T @ inverse
    left = y - fixed @ fixed.T @ y
    for place, values in enumerate([y, *left[orders].T]):
        axes = np.linalg.inv(np.linalg.cholesky(shape.columns.T @ rest @ shape.columns)) @ shape.columns.T @ rest
        squares, free = np.square(axes @ values), n - fixed.shape[1] - 2
        noise = (values @ rest @ values - squares.sum()) / free
        ratio = (squares[0] + 0.7 * squares[1]) / 1.7 / noise
        expected = -stats.f.logsf(ratio, 1.7**2 / (1 + 0.7**2), free) - np.log(10)
        assert found[place] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("high", [0.0, 0.7])
def test_values_of_which_nothing_is_left_give_no_evidence(high: float) -> None:
    rng = np.random.default_rng(0)
    n = 14
    fixed = orthonormal(np.column_stack([np.ones(n), np.arange(n) < 5]).astype(float))
    variables = {0: rng.normal(size=(n, 1)), 1: rng.normal(size=(n, 2))}
    values = PermutedValues.of(high + high / 9 * (np.arange(n) < 5), fixed, variables, np.arange(n)[:, None])
    (found,) = values.evidence(0, [Contrast(variables[0], np.ones(1))])
    assert found[0] == pytest.approx(0, abs=1e-3)
    assert np.isfinite(found).all()


def test_columns_that_repeat_each_other_span_one_direction() -> None:
    columns = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]])
    assert orthonormal(columns).shape == (3, 1)
    assert orthonormal(columns, 10.0).shape == (3, 0)
