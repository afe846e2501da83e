"""Counts and rates against plain loops; absent classes are NaN, never 0."""

import math
from statistics import harmonic_mean as harmonic

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.cckd.metrics import (
    accuracy,
    balanced_accuracy,
    count_classes,
    count_pairs,
    group_accuracy,
    harmonic_mean,
    recalls,
    worst_recall,
)
from trainables.cckd.records import ClassCounts

N_CLASSES = 4
_ANSWERS = st.lists(st.tuples(st.integers(0, N_CLASSES - 1), st.integers(0, N_CLASSES - 1)), max_size=40)


def _reference_counts(pairs: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    correct, seen = [0] * N_CLASSES, [0] * N_CLASSES
    for predicted, label in pairs:
        seen[label] += 1
        correct[label] += predicted == label
    return correct, seen


@given(_ANSWERS)
def test_counts_equal_a_plain_loop(pairs: list[tuple[int, int]]) -> None:
    counts = count_classes([p for p, _ in pairs], [label for _, label in pairs], N_CLASSES)
    assert (list(counts.correct), list(counts.seen)) == _reference_counts(pairs)


@given(_ANSWERS)
def test_pairs_are_the_confusion_matrix_without_its_zeros(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = [p for p, _ in pairs], [label for _, label in pairs]
    matrix = np.zeros((N_CLASSES, N_CLASSES), int)
    for answer, label in pairs:
        matrix[label, answer] += 1
    found = count_pairs(predicted, labels)
    assert found == [[int(i), int(j), int(matrix[i, j])] for i, j in np.argwhere(matrix)]


@given(_ANSWERS)
def test_balanced_accuracy_is_the_mean_recall_over_the_classes_seen(pairs: list[tuple[int, int]]) -> None:
    counts = count_classes([p for p, _ in pairs], [label for _, label in pairs], N_CLASSES)
    correct, seen = _reference_counts(pairs)
    of_class = [c / n for c, n in zip(correct, seen, strict=True) if n]
    expected = sum(of_class) / len(of_class) if of_class else math.nan
    assert balanced_accuracy(counts) == pytest.approx(expected, nan_ok=True)


@given(_ANSWERS)
def test_worst_recall_and_harmonic_mean_are_over_the_classes_seen(pairs: list[tuple[int, int]]) -> None:
    counts = count_classes([p for p, _ in pairs], [label for _, label in pairs], N_CLASSES)
    correct, seen = _reference_counts(pairs)
    of_class = [c / n for c, n in zip(correct, seen, strict=True) if n]
    assert worst_recall(counts) == pytest.approx(min(of_class, default=math.nan), nan_ok=True)
    expected = harmonic(of_class) if of_class else math.nan
    assert harmonic_mean(counts) == pytest.approx(expected, nan_ok=True)
    if of_class:
        assert worst_recall(counts) <= harmonic_mean(counts) + 1e-12 or worst_recall(counts) == 0
        assert harmonic_mean(counts) <= balanced_accuracy(counts) + 1e-12


def test_a_class_that_is_never_recognised_makes_worst_recall_and_harmonic_mean_0() -> None:
    counts = ClassCounts(correct=(0, 9, 0), seen=(3, 9, 0))
    assert (worst_recall(counts), harmonic_mean(counts)) == (0.0, 0.0)


def test_accuracy_weighs_samples_and_balanced_accuracy_weighs_classes() -> None:
    counts = ClassCounts(correct=(9, 0), seen=(9, 1))
    assert accuracy(counts) == 0.9
    assert balanced_accuracy(counts) == 0.5


def test_an_unseen_class_has_a_nan_recall_and_does_not_lower_the_mean() -> None:
    counts = ClassCounts(correct=(1, 0, 2), seen=(2, 0, 2))
    np.testing.assert_array_equal(recalls(counts), [0.5, np.nan, 1.0])
    assert balanced_accuracy(counts) == 0.75


def test_rates_over_nothing_are_nan() -> None:
    nothing = count_classes([], [], N_CLASSES)
    assert math.isnan(accuracy(nothing))
    assert math.isnan(balanced_accuracy(nothing))


def test_a_group_reports_how_many_classes_it_averages() -> None:
    counts = ClassCounts(correct=(1, 0, 2, 0), seen=(2, 0, 2, 4))
    assert group_accuracy(counts, (0, 1, 2)) == (0.75, 2)
    assert group_accuracy(counts, (3,)) == (0.0, 1)


@pytest.mark.parametrize("class_ids", [(), (1,)], ids=["no classes", "only unseen classes"])
def test_an_empty_group_is_nan_with_n_0(class_ids: tuple[int, ...]) -> None:
    value, n = group_accuracy(ClassCounts(correct=(1, 0), seen=(2, 0)), class_ids)
    assert math.isnan(value)
    assert n == 0


@pytest.mark.parametrize(
    ("predicted", "labels", "named"),
    [([0, 1], [0], "(2,)"), ([[0]], [[0]], "(1, 1)"), ([0], [4], "0..3"), ([0], [-1], "-1")],
)
def test_answers_that_do_not_fit_are_refused(predicted: list, labels: list, named: str) -> None:
    with pytest.raises(ValueError, match=named.replace("(", r"\(").replace(")", r"\)")):
        count_classes(predicted, labels, N_CLASSES)
