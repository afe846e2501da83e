"""Where the teacher's prior comes from, and how far it is from the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.cckd.teacher.fit.prior import (
    distance_from_labels,
    fixed_point_log_prior,
    log_prior_of_views,
    smooth,
    teacher_log_prior,
)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_removing_the_fixed_point_leaves_no_preference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(5), (9, 3, 4, 20, 4))
    logits = (4 * rng.normal(size=(40, 5)) + rng.normal(scale=3, size=5)).astype(np.float32)
    log_prior = fixed_point_log_prior(logits, labels)
    odds = np.exp(logits - log_prior)
    posterior = odds / odds.sum(1, keepdims=True)
    mean = np.mean([posterior[labels == c].mean(0) for c in range(5)], axis=0)
    np.testing.assert_allclose(mean, 0.2, atol=1e-4)
    assert np.exp(log_prior).sum() == pytest.approx(1)


def test_the_fixed_point_follows_a_shift_of_the_logits() -> None:
    # z -> z + b and p -> p e^b normalised: what the mean of softmaxes does not do.
    rng = np.random.default_rng(0)
    logits, labels, b = rng.normal(size=(60, 4)), np.arange(60) % 4, np.array([1.0, -2.0, 0.5, 0.0])
    shifted = fixed_point_log_prior(logits, labels) + b
    np.testing.assert_allclose(
        fixed_point_log_prior(logits + b, labels), shifted - np.log(np.exp(shifted).sum()), atol=1e-4
    )


def test_the_prior_of_views_is_that_of_all_views_as_samples() -> None:
    logits, labels = np.random.default_rng(0).normal(size=(9, 2, 3)), np.array([0, 0, 0, 0, 0, 1, 1, 1, 2])
    chunks = ((logits[rows], labels[rows]) for rows in (slice(0, 4), slice(4, 9)))
    np.testing.assert_allclose(
        log_prior_of_views(chunks, labels), teacher_log_prior(logits.reshape(18, 3), np.repeat(labels, 2))
    )


def test_smoothing_mixes_in_the_uniform_prior() -> None:
    np.testing.assert_allclose(np.exp(smooth(np.log([0.7, 0.2, 0.1]), 0.3)), [0.59, 0.24, 0.17])


def test_the_distance_is_the_total_variation_from_the_classes_of_val() -> None:
    assert distance_from_labels(np.log([0.5, 0.25, 0.25]), np.arange(6) % 3) == pytest.approx(1 / 6)
    assert distance_from_labels(np.log([0.5, 0.5, 1e-300]), np.array([0, 1])) == pytest.approx(0)
