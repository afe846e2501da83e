"""The regression's loss, gradient and minimum, against float64 and against views that are drawn."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trainables.cckd.teacher.fit import row_blocks
from trainables.cckd.teacher.fit.row_blocks import StandardRows, view_means
from trainables.cckd.teacher.fit.softmax_regression import Affine, SoftmaxRegression, Solver

N_ROWS, N_FEATURES, N_CLASSES, TAU = 60, 4, 3, 0.7
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(N_ROWS, N_FEATURES)).astype(np.float16)
LABELS = np.sort(RNG.permutation(np.arange(N_ROWS) % 7 % N_CLASSES))
POINT = Affine(
    RNG.normal(size=(N_CLASSES, N_FEATURES)).astype(np.float32), RNG.normal(size=N_CLASSES).astype(np.float32)
)
HALF = RNG.normal(size=(N_FEATURES, N_FEATURES))
SPREAD = (0.1 * HALF @ HALF.T).astype(np.float32)


def _rows(features: NDArray) -> StandardRows:
    blank = np.zeros(features.shape[-1], np.float32)
    return StandardRows(features.astype(np.float16)[:, None], blank, blank + 1, n_classes=N_CLASSES)


def _problem(spread: NDArray | None, labels: NDArray[np.int64] = LABELS) -> SoftmaxRegression:
    return SoftmaxRegression(_rows(ROWS), labels, N_CLASSES, TAU, spread)


def _reference_loss(point: Affine, rows: NDArray, labels: NDArray, spread: NDArray | None) -> float:
    """In float64, pair by pair of classes, as the bound is written."""
    weight, bias = point.weight.astype(float), point.bias + TAU * np.log(np.bincount(labels) / len(labels))
    losses = []
    for row, own in zip(rows.astype(float), labels, strict=True):
        apart = weight - weight[own]
        logits = apart @ row + bias - bias[own]
        if spread is not None:
            logits += np.einsum("cd,de,ce->c", apart, spread.astype(float), apart) / 2
        losses.append(np.log(np.exp(logits).sum()))
    return float(np.mean(losses))


@pytest.fixture(params=["one block", "blocks of five"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "one block":
        monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 5 * (10 * N_FEATURES + 32 * N_CLASSES))


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("spread", [None, SPREAD], ids=["views", "expected"])
def test_loss_and_gradient_are_those_of_the_formula(spread: NDArray | None) -> None:
    labels = RNG.permutation(LABELS) if spread is None else LABELS
    problem = _problem(spread, labels)
    loss, slope, bias_slope = problem.loss_and_gradient(POINT)
    assert loss == pytest.approx(_reference_loss(POINT, ROWS, labels, spread), rel=1e-5)
    step = 1e-3
    for place in np.ndindex(POINT.weight.shape):
        ends = []
        for sign in (1, -1):
            weight = POINT.weight.astype(float)
            weight[place] += sign * step
            ends.append(_reference_loss(Affine(weight, POINT.bias), ROWS, labels, spread))
        assert slope[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-4)
    for c in range(N_CLASSES):
        moved = [POINT.bias + sign * step * np.eye(N_CLASSES)[c] for sign in (1, -1)]
        up, down = (_reference_loss(Affine(POINT.weight, bias), ROWS, labels, spread) for bias in moved)
        assert bias_slope[c] == pytest.approx((up - down) / (2 * step), abs=1e-4)


def test_views_in_expectation_bound_the_loss_on_views_that_are_drawn() -> None:
    point = Affine(POINT.weight / 3, POINT.bias)
    drawn = np.random.default_rng(1).multivariate_normal(np.zeros(N_FEATURES), SPREAD, size=(400, N_ROWS))
    on_views = np.mean([_reference_loss(point, ROWS + views, LABELS, None) for views in drawn])
    without = _problem(None).loss_and_gradient(point)[0]
    bound = _problem(SPREAD).loss_and_gradient(point)[0]
    assert without < on_views < bound


def test_rows_in_expectation_come_class_by_class() -> None:
    with pytest.raises(AssertionError, match="class by class"):
        _problem(SPREAD, LABELS[::-1].copy())


def test_logits_of_hundreds_overflow_nowhere() -> None:
    problem = _problem(SPREAD)
    loss, slope, _ = problem.loss_and_gradient(Affine(100 * POINT.weight, POINT.bias))
    assert np.isfinite(loss)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("spread", [None, SPREAD], ids=["views", "expected"])
def test_the_minimum_does_not_depend_on_the_start(spread: NDArray | None) -> None:
    problem = _problem(spread)
    solver = Solver(problem)
    ends = []
    for start in (Affine.zero(N_CLASSES, N_FEATURES), POINT):
        end, iterations = solver.minimise(0.1, start, tolerance=1e-9)
        assert 0 < iterations < 60
        ends.append(end)
        least = _reference_loss(end, ROWS, LABELS, spread) + 0.05 * np.square(end.weight).sum()
        for _ in range(10):
            weight = end.weight + 0.02 * RNG.normal(size=end.weight.shape)
            moved = _reference_loss(Affine(weight, end.bias), ROWS, LABELS, spread)
            assert moved + 0.05 * np.square(weight).sum() > least
    np.testing.assert_allclose(ends[0].weight, ends[1].weight, atol=2e-3)


def test_means_of_views_and_their_covariance_are_over_the_images_asked_for() -> None:
    raw = RNG.normal(3, 2, size=(9, 5, N_FEATURES)).astype(np.float16)
    mean, std = np.full(N_FEATURES, 3, np.float32), np.full(N_FEATURES, 2, np.float32)
    images = np.array([7, 0, 4])
    means, spread = view_means(raw, mean, std, images)
    standard = (raw[images].astype(float) - 3) / 2
    np.testing.assert_allclose(means, standard.mean(1), atol=1e-3)
    apart = (standard - standard.mean(1, keepdims=True)).reshape(-1, N_FEATURES)
    np.testing.assert_allclose(spread, np.cov(apart.T, bias=True), atol=1e-4)
