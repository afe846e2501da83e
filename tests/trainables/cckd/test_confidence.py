"""Bins of confidence and the calibration error against plain loops over the samples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.cckd.confidence import N_BINS, confidence_bins, expected_calibration_error, top_confidence

_SAMPLES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=40)


def _bin_of(confidence: float) -> int:
    """The first bin whose upper edge is not below the confidence."""
    return next(b for b in range(N_BINS) if confidence <= np.linspace(0, 1, N_BINS + 1)[b + 1])


def _reference_error(samples: list[tuple[float, bool]]) -> float:
    error = 0.0
    for b in range(N_BINS):
        inside = [(confidence, right) for confidence, right in samples if _bin_of(confidence) == b]
        if inside:
            mean = sum(confidence for confidence, _ in inside) / len(inside)
            accuracy = sum(right for _, right in inside) / len(inside)
            error += len(inside) / len(samples) * abs(accuracy - mean)
    return error if samples else math.nan


@given(_SAMPLES)
def test_the_error_is_the_gap_of_each_bin_weighted_by_its_samples(samples: list[tuple[float, bool]]) -> None:
    bins = confidence_bins([confidence for confidence, _ in samples], [right for _, right in samples])
    assert expected_calibration_error(bins) == pytest.approx(_reference_error(samples), nan_ok=True)


@given(_SAMPLES)
def test_bins_hold_every_sample_once(samples: list[tuple[float, bool]]) -> None:
    bins = confidence_bins([confidence for confidence, _ in samples], [right for _, right in samples])
    assert [len(sums) for sums in bins] == [N_BINS] * 3
    assert sum(bins.n) == len(samples)
    assert sum(bins.correct) == sum(right for _, right in samples)
    assert sum(bins.confidence) == pytest.approx(sum(confidence for confidence, _ in samples))


@given(_SAMPLES, st.integers(0, 40))
def test_the_error_follows_from_sums_over_parts_of_the_samples(samples: list[tuple[float, bool]], cut: int) -> None:
    parts = [
        confidence_bins([confidence for confidence, _ in part], [right for _, right in part])
        for part in (samples, samples[:cut], samples[cut:])
    ]
    whole, first, second = (np.array(part) for part in parts)
    np.testing.assert_allclose(first + second, whole)


def test_an_edge_belongs_to_the_bin_below_it_and_zero_to_the_first() -> None:
    assert confidence_bins([0.0, 1 / 15, 1.0], [False] * 3).n == (2, *[0] * 13, 1)


def test_a_classifier_that_is_as_sure_as_it_is_right_has_no_error() -> None:
    assert expected_calibration_error(confidence_bins([0.75] * 4, [True, True, True, False])) == pytest.approx(0.0)
    assert expected_calibration_error(confidence_bins([1.0] * 4, [False] * 4)) == 1.0


def test_confidence_is_the_largest_softmax_probability_of_any_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 30, (50, 7)).astype(np.float32)
    exponentials = np.exp(logits.astype(np.longdouble))
    expected = (exponentials / exponentials.sum(axis=1, keepdims=True)).max(axis=1)
    np.testing.assert_allclose(top_confidence(logits), expected.astype(float), rtol=1e-12)
    assert top_confidence(np.full((1, 4), 1e4, np.float16))[0] == 0.25


def test_confidences_and_answers_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must both be \(N,\); got \(2,\) and \(3,\)"):
        confidence_bins([0.5, 0.5], [True] * 3)
