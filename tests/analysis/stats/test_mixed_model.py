"""The mixed model against dense algebra, and its variances against a direct search for the restricted likelihood."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from analysis.stats.mixed_model import MixedModel, drawn_to_model

N = 30


def data(seed: int, n_groups: int = 3) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    groups = [rng.normal(size=(N, 2)) for _ in range(n_groups)]
    fixed = np.column_stack([np.ones(N), rng.random(N) > 0.5]).astype(float)
    return 3 + groups[0] @ [1.0, -0.5] + 0.7 * rng.normal(size=N), fixed, groups


def projection(fixed: np.ndarray, groups: list[np.ndarray], variances: np.ndarray, noise: float) -> np.ndarray:
    """P = V^-1 - V^-1 X (X' V^-1 X)^-1 X' V^-1, densely."""
    v = noise * np.eye(len(fixed)) + sum(s * group @ group.T for s, group in zip(variances, groups, strict=True))
    inverse = np.linalg.inv(v)
    weighed = inverse @ fixed
    return np.asarray(inverse - weighed @ np.linalg.inv(fixed.T @ weighed) @ weighed.T)


def minus_log_likelihood(logs: np.ndarray, y: np.ndarray, fixed: np.ndarray, groups: list[np.ndarray]) -> float:
    *variances, noise = np.exp(logs)
    v = noise * np.eye(N) + sum(s * group @ group.T for s, group in zip(variances, groups, strict=True))
    inner = fixed.T @ np.linalg.inv(v) @ fixed
    squares = y @ projection(fixed, groups, np.array(variances), noise) @ y
    return float(np.linalg.slogdet(v)[1] + np.linalg.slogdet(inner)[1] + squares) / 2


@pytest.mark.parametrize("seed", range(5))
def test_cleaned_is_the_dense_projection(seed: int) -> None:
    y, fixed, groups = data(seed)
    model = MixedModel.fit(y, fixed, groups)
    dense = projection(fixed, groups, model.variances, model.noise)
    np.testing.assert_allclose(model.cleaned(y), dense @ y, atol=1e-7)
    np.testing.assert_allclose(model.cleaned(np.eye(N)), dense, atol=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_variances_are_more_likely(seed: int) -> None:
    y, fixed, groups = data(seed)
    model = MixedModel.fit(y, fixed, groups)
    ours = minus_log_likelihood(np.log([*model.variances, model.noise]), y, fixed, groups)
    start = np.log([0.3] * len(groups) + [0.3])
    best = minimize(minus_log_likelihood, start, (y, fixed, groups), method="L-BFGS-B", bounds=[(-18, 5)] * 4)
    assert ours <= best.fun + 0.02


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100), shift=st.floats(-100, 100))
@example(seed=1, scale=0.01, shift=75.0)
def test_variances_follow_the_scale_of_the_values_and_ignore_their_mean(seed: int, scale: float, shift: float) -> None:
    y, fixed, groups = data(seed)
    plain, moved = (MixedModel.fit(values, fixed, groups) for values in (y, shift + scale * y))
    np.testing.assert_allclose(moved.noise, scale**2 * plain.noise, rtol=1e-3)
    large = plain.variances > 1e-3 * plain.noise
    np.testing.assert_allclose(moved.variances[large], scale**2 * plain.variances[large], rtol=1e-3)


def test_without_groups_the_noise_is_the_residual_variance() -> None:
    y, fixed, _ = data(1)
    model = MixedModel.fit(y, fixed, [])
    residuals = y - fixed @ np.linalg.lstsq(fixed, y, rcond=None)[0]
    assert model.noise == pytest.approx(residuals @ residuals / (N - 2))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(8, 20), n_groups=st.integers(4, 14))
def test_more_columns_than_values_leave_noise_and_predict_nothing_absurd(seed: int, n: int, n_groups: int) -> None:
    """The likelihood of noise that vanishes has no bound there; a mean between the values would lie anywhere."""
    rng = np.random.default_rng(seed)
    y, fixed = 0.7 + 0.02 * rng.normal(size=n), np.ones((n, 1))
    groups = [rng.normal(size=(n, 2)) for _ in range(n_groups)]
    model = MixedModel.fit(y, fixed, groups)
    assert model.free > 0.5
    elsewhere = np.column_stack([np.ones(50), rng.normal(size=(50, 2 * n_groups))])
    assert np.abs(model.predict(elsewhere)[0] - y.mean()).max() < 5 * np.ptp(y)
    drawn = drawn_to_model(y, fixed, groups)
    assert y.min() <= drawn.min()
    assert drawn.max() <= y.max()


@pytest.mark.parametrize("others", [0.4, 0.9])
def test_where_the_quartiles_tie_no_value_is_drawn_in(others: float) -> None:
    x = np.arange(40) / 40
    y = np.where(x > 0.75, others, 0.5)
    assert drawn_to_model(y, np.ones((40, 1)), [x[:, None]]).tolist() == y.tolist()


@pytest.mark.parametrize("of_choice", [(0.0, 1.0), (0.0, 0.5), (0.1, 0.7)])
def test_fixed_columns_that_explain_every_value_leave_no_noise(of_choice: tuple[float, float]) -> None:
    member = np.eye(2)[np.arange(40) % 2]
    other = np.random.default_rng(0).random((40, 3))
    model = MixedModel.fit(member @ of_choice, member, [other])
    np.testing.assert_allclose(model.fitted, member @ of_choice, atol=1e-9)
    assert 0 <= model.noise < 1e-9
