"""Interactions: exact shares on full designs, no share for main effects, conditional knobs, chance for the family."""

from itertools import product

import numpy as np
import pytest
from numpy.polynomial.legendre import legvander
from optuna.distributions import CategoricalDistribution, FloatDistribution

from analysis.search.interactions import MIN_FREE, interactions
from analysis.search.trial_matrix import TrialMatrix, drawn_in
from analysis.stats.mixed_model import MixedModel
from search_spaces.knob import Knob


def _matrix(x: np.ndarray, present: np.ndarray | None = None, choices: tuple[int, ...] = ()) -> TrialMatrix:
    knobs = tuple(
        Knob(
            f"k{i}",
            CategoricalDistribution((False, True)) if i in choices else FloatDistribution(0.0, 1.0),
            "1",
            "a reason",
            False if i in choices else 0.5,
        )
        for i in range(x.shape[1])
    )
    return TrialMatrix(knobs, x, np.ones(x.shape, dtype=bool) if present is None else present, ())


def _reference_strength(x: np.ndarray, y: np.ndarray, i: int, j: int) -> float:
    """Nested generalised least squares: how much the residuals fall when the pair's products join all main effects."""
    fixed = np.column_stack([np.ones(len(y)), x, x**2])
    groups = [legvander(2 * column - 1, 4)[:, 3:] * np.sqrt([7, 9]) for column in x.T]
    model = MixedModel.fit(y, fixed, groups)
    covariance = np.eye(len(y)) + sum(
        variance / model.noise * group @ group.T for variance, group in zip(model.variances, groups, strict=True)
    )
    weights = np.linalg.inv(covariance)

    def rest(columns: np.ndarray) -> float:
        fitted = columns @ np.linalg.solve(columns.T @ weights @ columns, columns.T @ weights @ y)
        return float((y - fitted) @ weights @ (y - fitted))

    both = np.column_stack([fixed, *(x[:, i] ** a * x[:, j] ** b for a in (1, 2) for b in (1, 2))])
    small, large = rest(fixed), rest(both)
    noise = large / (len(y) - both.shape[1])
    return (small - large - 4 * noise) / float(((y - y.mean()) ** 2).sum())


@pytest.mark.parametrize("n", [60, 54, 40])
def test_strengths_equal_nested_generalised_least_squares(n: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((n, 4))
    y, _ = drawn_in(x[:, 0] + np.sin(6 * x[:, 1]) * x[:, 2] + rng.normal(0, 0.2, n))
    for row in interactions(_matrix(x), y).frame.itertuples():
        i, j = int(row.x_knob[1]), int(row.y_knob[1])
        assert row.strength == pytest.approx(_reference_strength(x, y, i, j), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("spoilt", ["a diverged trial", "a corner", "a cliff"])
def test_trials_that_fell_to_chance_make_no_interaction(spoilt: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.random((64, 6))
    y = 0.7 + 0.02 * x[:, 0] + 0.01 * rng.normal(size=64)
    fallen = {
        "a diverged trial": np.arange(64) == 9,
        "a corner": (x[:, 1] > 0.7) & (x[:, 2] > 0.7),
        "a cliff": x[:, 3] > 0.9,
    }
    y[fallen[spoilt]] = 0.1
    assert 1 <= fallen[spoilt].sum() < 13
    assert interactions(_matrix(x), y).frame["p"].min() > 0.05


def test_on_a_full_factorial_a_product_has_exactly_its_share_of_the_variance() -> None:
    levels = np.linspace(0, 1, 5)
    x = np.array(list(product(levels, repeat=3)))
    u = 2 * x - 1
    y = u[:, 0] + u[:, 1] * u[:, 2]
    frame = interactions(_matrix(x), y).frame
    expected = (u[:, 1] * u[:, 2]).var() / y.var()
    assert tuple(frame.loc[0, ["x_knob", "y_knob"]]) == ("k1", "k2")
    assert frame.loc[0, "strength"] == pytest.approx(expected)
    assert frame.loc[0, "p"] < 0.01
    assert frame["strength"].iloc[1:].max() < 1e-9


def test_without_an_interaction_the_strongest_pair_is_below_the_five_percent_level_in_about_one_study_of_twenty() -> (
    None
):
    rng = np.random.default_rng(0)
    hits = 0
    for index in range(60):
        x = rng.random((60, 5))
        y = np.exp(x[:, 0]) + x[:, 1] + rng.normal(0, 0.3, 60)
        hits += interactions(_matrix(x), y, n_draws=99, seed=index).frame["p"].min() <= 0.05
    assert hits <= 8  # 5 % of 60 is 3; more than 8 has a chance of 1 in 300


def test_choices_and_conditional_knobs_take_part() -> None:
    rng = np.random.default_rng(2)
    x = rng.random((120, 3))
    x[:, 1] = x[:, 1] > 0.5
    present = np.ones(x.shape, dtype=bool)
    present[:, 2] = x[:, 1] == 1  # k2 exists only where k1 is on
    x[~present[:, 2], 2] = 0.5
    y = np.where(present[:, 2], (2 * x[:, 0] - 1) * (2 * x[:, 2] - 1), 0.1) + rng.normal(0, 0.05, 120)
    frame = interactions(_matrix(x, present, choices=(1,)), y).frame
    assert np.isfinite(frame["strength"]).all()
    assert set(frame.loc[0, ["x_knob", "y_knob"]]) == {"k0", "k2"}
    # A parent and its own child have no cells to compare: the child is nowhere when the parent is off.
    alone = frame[(frame["x_knob"] == "k1") & (frame["y_knob"] == "k2")]["strength"]
    assert alone.to_numpy() == pytest.approx([0.0], abs=1e-9)


def test_too_few_trials_give_none_and_say_how_many_degrees_of_freedom_there_were() -> None:
    x = np.random.default_rng(0).random((MIN_FREE + 4, 2))
    found = interactions(_matrix(x), x[:, 0])
    assert found.frame.empty
    assert found.free == MIN_FREE - 1


def _three_choices(x: np.ndarray, order: tuple[int, ...]) -> TrialMatrix:
    """Knobs k0 and k1 on a scale and k2 of three values, which are written in an order."""
    column = np.array([order.index(value) for value in (3 * x[:, 2]).astype(int)], dtype=float)
    values = tuple("abc"[place] for place in order)
    knobs = (*_matrix(x[:, :2]).knobs, Knob("k2", CategoricalDistribution(values), "1", "a reason", values[0]))
    return TrialMatrix(knobs, np.column_stack([x[:, :2], column]), np.ones(x.shape, dtype=bool), ())


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 1, 0)])
def test_the_order_of_a_choices_values_does_not_matter(order: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    x = rng.random((60, 3))
    y = x[:, 0] * (x[:, 2] > 0.66) + rng.normal(0, 0.3, 60)
    found, again = (interactions(_three_choices(x, named), y).frame for named in ((0, 1, 2), order))
    assert found["x_knob"].tolist() == again["x_knob"].tolist()
    np.testing.assert_allclose(found[["strength", "p"]], again[["strength", "p"]], atol=1e-9)


def test_the_order_of_two_knobs_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    x = rng.random((50, 2))
    y = (2 * x[:, 0] - 1) * (2 * x[:, 1] - 1) ** 2 + rng.normal(0, 0.2, 50)
    (found,), (again,) = (interactions(_matrix(of), y).frame["p"] for of in (x, x[:, ::-1]))
    assert found == pytest.approx(again)


def test_a_smooth_product_of_a_fifth_of_the_variance_is_shown_in_most_small_searches() -> None:
    shown = 0
    for study in range(30):
        rng = np.random.default_rng([study, 5])
        x = rng.random((64, 8))
        main, joint = x[:, 0], (2 * x[:, 1] - 1) * (2 * x[:, 2] - 1)
        parts = ((main, 0.5), (joint, 0.2), (rng.normal(size=64), 0.3))
        y = sum(np.sqrt(share) * (part - part.mean()) / part.std() for part, share in parts)
        shown += ("k1", "k2") in interactions(_matrix(x), y, n_draws=200).clear
    assert shown >= 24
