"""Many groups against one: scipy's Dunnett test and plain t tests as references, and what the test is for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.stats.many_to_one import POWER, Difference, critical_value, differences, tail
from analysis.stats.paired_tests import ALPHA


def _alike(n: int, mean: float, sd: float = 1.0) -> list[float]:
    """`n` values of exactly this mean and sd."""
    raw = np.arange(n) - (n - 1) / 2
    return list(mean + sd * raw / raw.std(ddof=1))


@pytest.mark.parametrize("sizes", [(6, 3, 3), (6, 3, 3, 3, 3, 3, 3, 3), (4, 2, 5, 3)])
def test_where_all_scatter_alike_it_is_dunnetts_test(sizes: tuple[int, ...]) -> None:
    control, *groups = (_alike(n, 0.7 * place) for place, n in enumerate(sizes))
    found = differences(control, {str(k): group for k, group in enumerate(groups)})
    scipys = stats.dunnett(*map(np.array, groups), control=np.array(control), rng=np.random.default_rng(0))
    bounds = scipys.confidence_interval()
    assert [one.n for one in found.values()] == list(sizes[1:])
    assert [one.p for one in found.values()] == pytest.approx(scipys.pvalue, abs=1e-3)
    # scipy gives group minus control, and finds its critical value to about 0.01 only.
    assert [-one.low for one in found.values()] == pytest.approx(bounds.high, abs=0.02)
    assert [-one.high for one in found.values()] == pytest.approx(bounds.low, abs=0.02)


def test_one_group_is_a_t_test() -> None:
    control, group = _alike(6, 2.0), _alike(3, 0.5)
    one = differences(control, {"a": group})["a"]
    plain = stats.ttest_ind(control, group)
    bounds = plain.confidence_interval()
    assert one.mean == pytest.approx(1.5)
    assert (one.p, one.low, one.high) == pytest.approx((plain.pvalue, bounds.low, bounds.high), abs=1e-4)


@pytest.mark.parametrize(("n_groups", "free"), [(1, 7), (4, 13), (7, 19)])
def test_what_could_have_been_shown_is_shown_in_four_of_five_studies(n_groups: int, free: int) -> None:
    control = _alike(6, 0.0)
    found = differences(control, {str(k): _alike(3, 0.0) for k in range(n_groups)})["0"]
    error = np.sqrt(1 / 6 + 1 / 3)
    reach = critical_value(np.full(n_groups, 1 / 3), free)
    shown = stats.nct.sf(reach, free, found.detectable / error) + stats.nct.cdf(-reach, free, found.detectable / error)
    assert shown == pytest.approx(POWER, abs=1e-3)


@pytest.mark.parametrize(("n_groups", "n", "n_control", "free"), [(7, 1, 2, 1), (3, 3, 6, 2), (7, 3, 6, 19)])
def test_the_critical_value_is_exceeded_in_one_of_twenty_studies(
    n_groups: int, n: int, n_control: int, free: int
) -> None:
    rng = np.random.default_rng(1)
    means = rng.normal(size=(100_000, n_groups)) / np.sqrt(n) - rng.normal(size=(100_000, 1)) / np.sqrt(n_control)
    drawn = np.abs(means) / np.sqrt(1 / n + 1 / n_control) / np.sqrt(rng.chisquare(free, (100_000, 1)) / free)
    value = critical_value(np.full(n_groups, n / (n + n_control)), free)
    assert (drawn.max(axis=1) > value).mean() == pytest.approx(ALPHA, abs=0.003)
    assert tail(value, np.full(n_groups, n / (n + n_control)), free) == pytest.approx(ALPHA, abs=1e-6)


@given(
    groups=st.lists(st.lists(st.integers(-20, 20), min_size=2, max_size=4), min_size=1, max_size=4),
    control=st.lists(st.integers(-20, 20), min_size=2, max_size=6),
    shift=st.integers(-5, 5),
)
def test_a_shift_of_everything_changes_nothing_and_p_agrees_with_the_interval(groups, control, shift) -> None:
    found = differences(control, dict(zip("abcd", groups, strict=False)))
    shifted = differences(
        [value + shift for value in control], {k: [v + shift for v in g] for k, g in zip("abcd", groups, strict=False)}
    )
    for name, one in found.items():
        other = shifted[name]
        assert np.allclose(
            [one.mean, one.low, one.high, one.p, one.detectable],
            [other.mean, other.low, other.high, other.p, other.detectable],
            equal_nan=True,
        )
        if one.p == one.p:
            assert one.low <= one.mean <= one.high
            assert abs(one.p - ALPHA) < 1e-6 or (one.p < ALPHA) == (one.low > 0 or one.high < 0)


def test_a_group_that_scatters_more_than_the_others_has_its_own_noise_and_widens_the_others_less() -> None:
    calm = differences(_alike(6, 0.0), {name: _alike(3, 0.0) for name in "abcdefg"})
    one_noisy = differences(
        _alike(6, 0.0), {name: _alike(3, 0.0, sd=3.0 if name == "a" else 1.0) for name in "abcdefg"}
    )
    widths = {name: one.high - one.low for name, one in one_noisy.items()}
    calm_width = calm["b"].high - calm["b"].low
    assert widths["a"] > 1.8 * widths["b"]
    assert calm_width < widths["b"] < 1.4 * calm_width


def test_a_run_that_collapsed_hides_no_difference_of_another_group() -> None:
    groups = {name: _alike(3, 0.0) for name in "abcdef"} | {"g": _alike(3, -6.0)}
    groups["a"][2] -= 100
    found = differences(_alike(6, 0.0), groups)
    pooled = stats.dunnett(*map(np.array, groups.values()), control=np.array(_alike(6, 0.0)))
    assert found["g"].p < ALPHA < pooled.pvalue[-1]
    assert found["a"].p > ALPHA, "its own noise is as large as its difference"
    assert found["a"].detectable > 100


def test_a_run_of_the_control_that_collapsed_makes_everything_open() -> None:
    control = _alike(6, 0.0)
    control[0] -= 100
    found = differences(control, {"a": _alike(3, 0.0), "b": _alike(3, -6.0)})
    assert min(one.p for one in found.values()) > ALPHA
    assert min(one.detectable for one in found.values()) > 50


def test_one_value_per_group_takes_its_noise_from_the_control() -> None:
    found = differences([1.0, 2.0], {"a": [1.2], "b": [1.9]})
    assert all(one.low < one.mean < one.high and one.p > 0.5 for one in found.values())


@pytest.mark.parametrize(
    ("control", "group"),
    [
        ([0.1] * 6, [0.3] * 3),  # whose computed variance is 1e-34
        ([0.5, 0.5], [0.4, 0.4]),  # without any scatter nothing says how far apart chance may bring two means
        ([0.5], [0.4]),
        ([0.5], []),
        ([], [0.4, 0.6]),
        ([], []),
    ],
)
def test_without_an_estimate_of_the_noise_there_is_no_interval(control: list[float], group: list[float]) -> None:
    one = differences(control, {"a": group})["a"]
    known = np.mean(control) - np.mean(group) if control and group else np.nan
    assert one.n == len(group)
    assert np.array_equal([one.low, one.high, one.p, one.detectable], [np.nan] * 4, equal_nan=True)
    assert one.mean == pytest.approx(known, nan_ok=True)


def test_a_group_without_values_is_left_out_of_the_comparison() -> None:
    control, kept = _alike(6, 0.0), {"a": _alike(3, -1.0), "b": _alike(3, 0.0)}
    found = differences(control, {**kept, "lost": []})
    assert {name: found[name] for name in kept} == differences(control, kept)
    assert isinstance(found["lost"], Difference)
    assert found["lost"].n == 0
