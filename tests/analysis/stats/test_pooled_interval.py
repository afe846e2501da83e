"""The pooled interval against plain formulas, and its coverage where samples scatter alike and where they do not."""

from math import isnan, sqrt
from statistics import mean, variance

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.stats.paired_tests import paired_interval, spread
from analysis.stats.pooled_interval import pooled_intervals, pooled_sd, pooled_variance

_SAMPLE = st.lists(st.floats(-1, 1), min_size=0, max_size=6)


@given(st.lists(_SAMPLE, min_size=1, max_size=5))
def test_mean_and_bounds_are_those_of_the_plain_formula(samples: list[list[float]]) -> None:
    free = sum(len(sample) - 1 for sample in samples if sample)
    for sample, found in zip(samples, pooled_intervals(samples), strict=True):
        assert found.n == len(sample)
        if not sample or not free:
            assert isnan(found.low)
            assert isnan(found.high)
            continue
        pooled = sqrt(sum((len(one) - 1) * variance(one) for one in samples if len(one) > 1) / free)
        half = stats.t.ppf(0.975, free) * pooled / sqrt(len(sample))
        assert (found.low, found.high) == pytest.approx((mean(sample) - half, mean(sample) + half), abs=1e-12)


@given(st.lists(_SAMPLE, max_size=5))
def test_a_larger_sample_weighs_more_in_the_pool(samples: list[list[float]]) -> None:
    known = [sample for sample in samples if len(sample) > 1]
    weights = [len(sample) - 1 for sample in known]
    sd, free = pooled_sd(map(spread, samples))
    assert free == sum(weights)
    if not free:
        assert isnan(sd)
        return
    variances = [variance(sample) for sample in known]
    expected = sum(weight * one for weight, one in zip(weights, variances, strict=True)) / free
    assert sd == pytest.approx(sqrt(expected), abs=1e-9)
    assert pooled_variance(zip(variances, weights, strict=True)) == pytest.approx((expected, free))


@given(_SAMPLE)
def test_one_sample_alone_has_the_paired_interval(sample: list[float]) -> None:
    sample = [round(value, 4) for value in sample]  # smaller spreads count as none
    (found,), expected = pooled_intervals([sample]), paired_interval(sample)
    assert (found.n, found.mean, found.low, found.high, found.p) == pytest.approx(
        (expected.n, expected.mean, expected.low, expected.high, expected.p), nan_ok=True, abs=1e-12
    )


@pytest.mark.parametrize(
    ("sds", "least", "most"),
    [((1.0, 1.0, 1.0), 0.94, 0.96), ((1.0, 0.7, 0.7), 0.89, 0.94), ((1.0, 0.5, 2.0), 0.94, 1.0)],
)
def test_it_covers_what_it_says_and_a_noisier_sample_less(sds: tuple[float, ...], least: float, most: float) -> None:
    """Share of 95 % intervals of the first of three samples of three that cover its mean."""
    drawn = np.random.default_rng(0).normal(size=(4000, 3, 3)) * np.array(sds)[None, :, None]
    covered = [low <= 0 <= high for low, high in ((found.low, found.high) for found in map(_first, drawn))]
    assert least <= np.mean(covered) <= most


def _first(samples: np.ndarray):
    return pooled_intervals(list(samples))[0]
