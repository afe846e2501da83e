"""Differences nested in subsets: plain loops for the numbers, simulated truth for what the intervals cover."""

from math import isnan, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.stats.nested_interval import nested_interval
from analysis.stats.paired_tests import paired_interval

_values = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=1, max_size=5)
CUTS = st.lists(_values, min_size=2, max_size=6).map(lambda subsets: dict(enumerate(subsets)))

N_DRAWS, N_CUTS, N_SEEDS, TRUTH = 600, 6, 6, 0.03


def _reference_components(subsets: dict[int, list[float]]) -> tuple[float, float]:
    """The textbook's sums, one difference at a time."""
    every = [d for values in subsets.values() for d in values]
    n, r, grand = len(every), len(subsets), sum(every) / len(every)
    if n == r:
        return nan, nan
    means = {subset: sum(values) / len(values) for subset, values in subsets.items()}
    within = sum((d - means[subset]) ** 2 for subset, values in subsets.items() for d in values) / (n - r)
    between = sum(len(values) * (means[subset] - grand) ** 2 for subset, values in subsets.items()) / (r - 1)
    typical = (n - sum(len(values) ** 2 for values in subsets.values()) / n) / (r - 1)
    return sqrt(max(0.0, (between - within) / typical)), sqrt(within)


@given(CUTS)
def test_the_components_are_those_of_the_analysis_of_variance(subsets: dict[int, list[float]]) -> None:
    found, expected = nested_interval(subsets), _reference_components(subsets)
    if isnan(expected[0]):
        assert isnan(found.sd_subsets)
        assert isnan(found.sd_seeds)
    else:
        assert (found.sd_subsets**2, found.sd_seeds**2) == pytest.approx(
            (expected[0] ** 2, expected[1] ** 2), rel=1e-9, abs=1e-12
        )


def test_the_interval_is_student_s_on_the_subset_means() -> None:
    subsets = {0: [0.04, 0.06], 1: [0.01], 2: [0.03, 0.04, 0.05], 5: [0.07, 0.05]}
    means = [0.05, 0.01, 0.04, 0.06]
    low, high = stats.t.interval(0.95, 3, np.mean(means), np.std(means, ddof=1) / 2)
    found = nested_interval(subsets)
    assert (found.over_subsets.low, found.over_subsets.high) == pytest.approx((low, high))
    assert (found.over_subsets.n, found.n_runs) == (4, 8)
    assert (found.lowest, found.highest) == pytest.approx((0.01, 0.06))


def test_equal_subset_means_have_the_resolution_of_their_counts() -> None:
    found = nested_interval({subset: [0.1, 0.1] for subset in range(6)}, resolution=0.01)
    assert found.over_subsets == paired_interval([0.1] * 6, resolution=0.01)
    assert found.over_subsets.low == pytest.approx(0.0895, abs=1e-4)
    assert (found.sd_subsets, found.sd_seeds) == pytest.approx((0, 0)), "the components ignore it"


def test_missing_differences_drop_their_pair_and_empty_subsets_drop_out() -> None:
    assert nested_interval({0: [0.1, nan, 0.3], 1: [nan], 2: [0.2, 0.1], 3: []}) == nested_interval(
        {0: [0.1, 0.3], 2: [0.2, 0.1]}
    )


def test_without_two_subsets_or_two_seeds_nothing_is_made_up() -> None:
    alone = nested_interval({0: [0.1, 0.3]})
    assert isnan(alone.over_subsets.low)
    assert isnan(alone.sd_subsets)
    assert alone.sd_seeds == pytest.approx(np.std([0.1, 0.3], ddof=1))
    single = nested_interval({0: [0.1], 1: [0.3]})
    assert single.over_subsets.n == 2
    assert isnan(single.sd_subsets)
    assert nested_interval({}).over_subsets.n == 0


def test_equal_subsets_have_no_component_between_them() -> None:
    found = nested_interval({0: [0.1, 0.3], 1: [0.3, 0.1], 2: [0.2, 0.2]})
    assert found.sd_subsets == 0
    assert found.sd_seeds > 0


def _drawn(*, sd_cut: float, sd_run: float, sd_shared_seed: float = 0.0) -> np.ndarray:
    """Differences (draws, subsets, seeds) in which subset, seed (alike in every subset) and run have their parts."""
    rng = np.random.default_rng(0)
    of_cut = rng.normal(0, sd_cut, (N_DRAWS, N_CUTS, 1))
    of_seed = rng.normal(0, sd_shared_seed, (N_DRAWS, 1, N_SEEDS))
    return TRUTH + of_cut + of_seed + rng.normal(0, sd_run, (N_DRAWS, N_CUTS, N_SEEDS))


def _coverage(draws: np.ndarray) -> float:
    found = [nested_interval(dict(enumerate(draw))).over_subsets for draw in draws]
    return float(np.mean([interval.low <= TRUTH <= interval.high for interval in found]))


@pytest.mark.parametrize(("sd_cut", "sd_run"), [(0.02, 0.01), (0.01, 0.02), (0.0, 0.02)])
def test_the_interval_over_subsets_covers_what_it_says_whatever_varies(sd_cut: float, sd_run: float) -> None:
    assert 0.93 <= _coverage(_drawn(sd_cut=sd_cut, sd_run=sd_run)) <= 0.97


def test_neither_one_subset_nor_all_runs_as_one_sample_cover_where_subsets_vary() -> None:
    draws = _drawn(sd_cut=0.02, sd_run=0.01)
    for values in (draws[:, 0], draws.reshape(N_DRAWS, -1)):
        found = [paired_interval(draw) for draw in values]
        assert np.mean([interval.low <= TRUTH <= interval.high for interval in found]) < 0.75


def test_seeds_shared_by_all_subsets_would_hide_their_own_chance() -> None:
    assert _coverage(_drawn(sd_cut=0.005, sd_run=0.01, sd_shared_seed=0.02)) < 0.75


def test_the_components_are_right_on_average() -> None:
    found = [nested_interval(dict(enumerate(draw))) for draw in _drawn(sd_cut=0.02, sd_run=0.01)]
    assert np.mean([one.sd_subsets**2 for one in found]) == pytest.approx(0.02**2, rel=0.1)
    assert np.mean([one.sd_seeds**2 for one in found]) == pytest.approx(0.01**2, rel=0.1)
