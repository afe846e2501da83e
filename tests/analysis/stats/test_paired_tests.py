"""Paired comparisons against scipy, plain loops and simulated truth."""

from itertools import product
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.stats.paired_tests import (
    ALPHA,
    Verdict,
    adjusted_verdict,
    holm,
    look_level,
    paired_interval,
    sign_flip,
    spread,
)

DIFFERENCES = st.lists(st.floats(-1, 1).map(lambda x: round(x, 4)), min_size=2, max_size=9)


def _reference_sign_flip(differences: list[float]) -> float:
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(value >= observed - 1e-9 for value in sums) / len(sums)


def _reference_holm(p_values: list[float]) -> list[float]:
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, running)
    return adjusted


def test_the_paired_interval_is_that_of_scipy() -> None:
    a, b = np.array([0.71, 0.73, 0.70, 0.72, 0.74, 0.69]), np.array([0.67, 0.70, 0.68, 0.66, 0.70, 0.68])
    expected = stats.ttest_rel(a, b)
    bounds = expected.confidence_interval(0.95)
    ours = paired_interval(a - b)
    assert (ours.low, ours.high, ours.p) == pytest.approx((bounds.low, bounds.high, expected.pvalue))


def test_a_nan_difference_drops_its_pair() -> None:
    assert paired_interval([0.1, nan, 0.3]) == paired_interval([0.1, 0.3])


@pytest.mark.parametrize(("differences", "n"), [([], 0), ([0.1], 1), ([nan, 0.1], 1)])
def test_below_two_pairs_there_is_no_interval(differences: list[float], n: int) -> None:
    ours = paired_interval(differences)
    assert ours.n == n
    assert isnan(ours.low)
    assert isnan(ours.p)
    assert ours.verdict == "too few"


def test_five_pairs_claim_nothing_however_clear_and_six_do() -> None:
    assert paired_interval([0.10, 0.11, 0.10, 0.12, 0.11]).verdict == "too few"
    assert paired_interval([0.10, 0.11, 0.10, 0.12, 0.11, 0.10]).verdict == "gain"
    assert paired_interval([-0.10, -0.11, -0.10, -0.12, -0.11, -0.10]).verdict == "loss"
    assert paired_interval([-0.1, 0.1, -0.2, 0.2, -0.1, 0.1]).verdict == "unclear"


def test_differences_without_spread_have_the_p_of_the_sign_flip_test() -> None:
    assert paired_interval([0.0, 0.0, 0.0]).p == 1.0
    assert paired_interval([0.5, 0.5, 0.5]).p == 0.25
    assert paired_interval([0.01] * 6).p == paired_interval([0.1 + 0.2 - 0.3 + 0.01] * 6).p == 1 / 32


def test_a_spread_below_the_resolution_counts_as_the_resolution() -> None:
    differences, resolution = [0.010, 0.011, 0.010, 0.010, 0.011, 0.010], 0.004
    ours = paired_interval(differences, resolution=resolution)
    half = stats.t.ppf(0.975, 5) * resolution / 6**0.5
    assert (ours.low, ours.high) == pytest.approx((np.mean(differences) - half, np.mean(differences) + half))
    assert ours.sd == pytest.approx(np.std(differences, ddof=1))
    assert ours.p == 1 / 32
    assert paired_interval(differences).p < 0.001


@given(DIFFERENCES, st.floats(0, 1))
def test_a_resolution_never_makes_a_gain_clearer(differences: list[float], resolution: float) -> None:
    plain, ours = paired_interval(differences), paired_interval(differences, resolution=resolution)
    assert (ours.mean, ours.sd) == (plain.mean, plain.sd)
    assert ours.low <= plain.low <= plain.high <= ours.high
    assert ours.p >= plain.p


@pytest.mark.parametrize(
    ("n", "planned", "missing", "p", "verdict"),
    [
        (5, 5, 0, 0.001, "too few"),
        (5, 0, 0, 0.001, "too few"),
        (5, 6, 1, 0.001, "incomplete"),
        (0, 6, 6, nan, "incomplete"),
        (19, 20, 1, 0.001, "incomplete"),
        (6, 6, 1, 0.001, "incomplete"),  # six subsets, one of which lacks a run
        (6, 6, 0, 0.05, "gain"),
        (6, 0, 0, 0.05, "gain"),
        (7, 6, 0, 0.05, "gain"),
        (6, 6, 0, 0.051, "unclear"),
        (6, 6, 0, nan, "unclear"),
    ],
)
def test_a_claim_needs_every_planned_run(n: int, planned: int, missing: int, p: float, verdict: Verdict) -> None:
    assert adjusted_verdict(n, 0.02, p, planned=planned, missing=missing) == verdict


def test_a_further_look_needs_a_smaller_p_and_all_looks_share_a_hundredth_more() -> None:
    levels = [look_level(look) for look in range(1, 40)]
    assert levels[0] == ALPHA
    assert levels == sorted(levels, reverse=True)
    assert sum(levels) <= ALPHA + 0.01
    assert adjusted_verdict(8, 0.02, 0.02, level=look_level(1)) == "gain"
    assert adjusted_verdict(8, 0.02, 0.02, level=look_level(2)) == "unclear"


def test_the_t_interval_on_six_pairs_covers_what_it_says() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(0.03, 0.012, size=(2000, 6))
    hits = [interval.low <= 0.03 <= interval.high for interval in map(paired_interval, draws)]
    assert 0.93 <= np.mean(hits) <= 0.97


@given(DIFFERENCES)
def test_sign_flip_is_the_share_of_sign_patterns_at_least_as_extreme(differences: list[float]) -> None:
    assert sign_flip(differences).p == pytest.approx(_reference_sign_flip(differences))


def test_six_pairs_cannot_give_a_sign_flip_p_below_one_in_32() -> None:
    ours = sign_flip([0.1, 0.2, 0.3, 0.1, 0.2, 0.3])
    assert ours.p == ours.smallest_p == 1 / 32


def test_many_pairs_are_drawn_and_never_reach_zero() -> None:
    ours = sign_flip(np.linspace(0.1, 0.2, 30))
    assert ours.p == ours.smallest_p > 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_steps_down(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(_reference_holm(p_values))


def test_holm_does_not_count_what_was_not_tested() -> None:
    adjusted = holm([0.01, nan, 0.04])
    assert adjusted[0] == pytest.approx(0.02)
    assert isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.04)


def test_spread_says_how_many_values_it_has() -> None:
    assert spread([nan]).n == 0
    one = spread([0.5, nan])
    assert (one.n, one.mean) == (1, 0.5)
    assert isnan(one.sd)
    assert spread([0.1, 0.3]).sd == pytest.approx(np.std([0.1, 0.3], ddof=1))
