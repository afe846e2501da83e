"""The linear probe and the teacher's prior, against plain numpy and scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from trainables.cckd.metrics import balanced_accuracy, count_classes
from trainables.cckd.teacher.fit import probe as module
from trainables.cckd.teacher.fit import row_blocks
from trainables.cckd.teacher.fit.prior import teacher_log_prior
from trainables.cckd.teacher.fit.probe import ProbeFit, fit_probe, refit

N_VIEWS, N_FEATURES = 2, 6
COUNTS = (60, 20, 6)


def _world(counts: tuple[int, ...], *, seed: int, spread: float = 1.2) -> tuple[NDArray, NDArray[np.int64]]:
    """Gaussian blobs around fixed class centres, on a scale far from 0 and 1."""
    centres = np.random.default_rng(99).normal(size=(len(counts), N_FEATURES))
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = np.random.default_rng(seed).normal(size=(len(labels), N_FEATURES))
    return (5 + 3 * (centres[labels] + spread * noise)).astype(np.float16), labels


@pytest.fixture(scope="module")
def world() -> tuple[NDArray, ...]:
    views = [_world(COUNTS, seed=seed) for seed in range(N_VIEWS)]
    val, val_labels = _world((40, 40, 40), seed=7)
    return np.stack([features for features, _ in views], axis=1), views[0][1], val, val_labels


@pytest.fixture(scope="module")
def fit(world: tuple[NDArray, ...]) -> ProbeFit:
    return fit_probe(*world, n_classes=3)


def _reference_standardised(features: NDArray, of: NDArray) -> NDArray[np.float64]:
    flat = of.reshape(-1, N_FEATURES).astype(np.float64)
    return (features.astype(np.float64) - flat.mean(0)) / flat.std(0)


def _reference_loss(
    weight: NDArray, bias: NDArray, samples: NDArray, labels: NDArray, l2: float, tau: float = 1.0
) -> float:
    prior = np.bincount(labels) / len(labels)
    logits = samples @ weight.T + bias + tau * np.log(prior)
    own = logits[np.arange(len(labels)), labels]
    return float(np.mean(np.log(np.exp(logits).sum(1)) - own) + l2 / 2 * (weight**2).sum())


@pytest.mark.parametrize("tau", [1.0, 0.0, 0.5])
def test_the_fit_is_a_minimum_of_the_logit_adjusted_loss(world: tuple[NDArray, ...], tau: float) -> None:
    features, labels, val, val_labels = world
    fit = fit_probe(features, labels, val, val_labels, n_classes=3, tau=tau, strengths=(0.1,))
    samples = _reference_standardised(features, features).reshape(-1, N_FEATURES)
    every = np.repeat(labels, N_VIEWS)
    least = _reference_loss(fit.weight, fit.bias, samples, every, 0.1, tau)
    rng = np.random.default_rng(0)
    for _ in range(20):
        weight = fit.weight + 0.05 * rng.normal(size=fit.weight.shape)
        bias = fit.bias + 0.05 * rng.normal(size=3)
        assert _reference_loss(weight, bias, samples, every, 0.1, tau) > least


def test_adding_the_prior_back_gives_plain_ridge_regressions_posterior(world: tuple[NDArray, ...]) -> None:
    # With b free, CE(Wf + b + log p, y) is plain regression with b' = b + log p: an independent implementation.
    features, labels, val, val_labels = world
    fit = fit_probe(features, labels, val, val_labels, n_classes=3, strengths=(0.1,))
    samples = _reference_standardised(features, features).reshape(-1, N_FEATURES)
    every = np.repeat(labels, N_VIEWS)
    plain = LogisticRegression(C=1 / (0.1 * len(every)), tol=1e-8, max_iter=2000).fit(samples, every)
    with_prior = fit.logits(features).reshape(-1, 3) + np.log(np.bincount(labels) / len(labels))
    odds = np.exp(with_prior - with_prior.max(1, keepdims=True))
    np.testing.assert_allclose(odds / odds.sum(1, keepdims=True), plain.predict_proba(samples), atol=5e-3)


def test_the_tail_is_predicted_as_often_as_the_balanced_set_holds_it(fit: ProbeFit, world: tuple[NDArray, ...]) -> None:
    features, labels, val, val_labels = world
    samples = _reference_standardised(features, features).reshape(-1, N_FEATURES)
    plain = LogisticRegression(C=1e3, max_iter=2000).fit(samples, np.repeat(labels, N_VIEWS))
    of_plain = plain.predict(_reference_standardised(val, features))
    of_fit = fit.logits(val).argmax(1)
    assert (of_fit == 2).sum() > (of_plain == 2).sum()
    assert np.mean(of_fit[val_labels == 2] == 2) > np.mean(of_plain[val_labels == 2] == 2)


def test_the_strength_is_the_best_on_val_and_the_stronger_on_ties(fit: ProbeFit, world: tuple[NDArray, ...]) -> None:
    best = max(row.val_balanced_accuracy for row in fit.path)
    tied = [row.strength for row in fit.path if row.val_balanced_accuracy == pytest.approx(best)]
    assert fit.strength == max(tied)
    assert [row.strength for row in fit.path] == sorted((row.strength for row in fit.path), reverse=True)
    easy = fit_probe(*world[:2], *_world((5, 5, 5), seed=3, spread=0.0), n_classes=3, strengths=(0.1, 1.0, 0.01))
    assert {row.val_balanced_accuracy for row in easy.path} == {1.0}
    assert easy.strength == 1.0


def test_the_reported_accuracies_are_those_of_the_chosen_fit(fit: ProbeFit, world: tuple[NDArray, ...]) -> None:
    features, labels, val, val_labels = world
    counts = count_classes(fit.logits(val).argmax(1), val_labels, 3)
    chosen = next(row for row in fit.path if row.strength == fit.strength)
    assert chosen.val_balanced_accuracy == pytest.approx(balanced_accuracy(counts))
    assert chosen.val_accuracy == pytest.approx(sum(counts.correct) / sum(counts.seen))
    assert chosen.train_accuracy == pytest.approx(np.mean(fit.logits(features).argmax(-1) == labels[:, None]))


def test_standardised_training_features_have_mean_0_and_deviation_1(fit: ProbeFit, world: tuple[NDArray, ...]) -> None:
    standard = fit.standardise(world[0]).reshape(-1, N_FEATURES)
    np.testing.assert_allclose(standard.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(standard.std(0), 1, atol=1e-3)


def test_a_feature_that_never_varies_gives_no_infinities(world: tuple[NDArray, ...]) -> None:
    features, labels, val, val_labels = (array.copy() for array in world)
    features[..., 0] = 4.0
    fit = fit_probe(features, labels, val, val_labels, n_classes=3, strengths=(1.0,))
    assert fit.feature_std[0] == 1
    assert np.isfinite(fit.logits(val)).all()


def test_fitting_twice_gives_the_same_bits(fit: ProbeFit, world: tuple[NDArray, ...]) -> None:
    again = fit_probe(*world, n_classes=3)
    np.testing.assert_array_equal(again.weight, fit.weight)
    np.testing.assert_array_equal(again.bias, fit.bias)


def test_the_search_ends_behind_two_strengths_that_are_worse_than_the_best(
    world: tuple[NDArray, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter([0.5, 0.6, 0.55, 0.6, 0.58, 0.59, 0.9])
    monkeypatch.setattr(module, "balanced_accuracy", lambda counts: next(accuracies))
    found = fit_probe(*world, n_classes=3, strengths=(9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0))
    assert [row.strength for row in found.path] == [9.0, 8.0, 7.0, 6.0, 5.0, 4.0], "the seventh is not tried"
    assert found.strength == 8.0, "the stronger of equals"
    assert found.path[1].val_balanced_accuracy == 0.9, "the chosen one is judged again, behind its last iteration"


def test_by_default_strengths_fall_with_the_number_of_classes(fit: ProbeFit) -> None:
    assert [row.strength for row in fit.path] == pytest.approx([s / 3 for s in module.STRENGTHS[: len(fit.path)]])


@pytest.mark.parametrize("tau", [1.0, 0.0])
def test_views_in_expectation_judge_like_views_one_by_one(tau: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    images, labels = _world((150, 60, 20), seed=11)
    train = (images[:, None] + rng.normal(size=(len(labels), 8, N_FEATURES))).astype(np.float16)
    val, val_labels = _world((200, 200, 200), seed=7)
    fits = []
    monkeypatch.setattr(module, "_TOLERANCE_OF_MEANS", 1e-7)
    for most in (2**33, 0):
        monkeypatch.setattr(row_blocks, "MOST_PRODUCTS", most)
        found = fit_probe(train, labels, val, val_labels, n_classes=3, tau=tau, strengths=(0.01,))
        refitted, _ = refit(found, train, labels, np.arange(0, len(labels), 2), n_classes=3, tau=tau)
        fits.append((found.logits(val), found.standardise(val) @ refitted.weight.T + refitted.bias))
    for one_by_one, expected in zip(*fits, strict=True):
        losses = [_mean_loss(logits, val_labels) for logits in (one_by_one, expected)]
        assert losses[1] == pytest.approx(losses[0], rel=0.03)
        right = [np.mean(logits.argmax(1) == val_labels) for logits in (one_by_one, expected)]
        assert right[1] == pytest.approx(right[0], abs=0.01)


def test_a_fit_to_means_is_the_one_that_d_val_has_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "MOST_PRODUCTS", 0)
    images, labels = _world((60, 20, 6), seed=11)
    train = (images[:, None] + np.random.default_rng(3).normal(size=(len(labels), 4, N_FEATURES))).astype(np.float16)
    val, val_labels = _world((200, 200, 200), seed=7)
    found = fit_probe(train, labels, val, val_labels, n_classes=3)
    (chosen,) = (row for row in found.path if row.strength == found.strength)
    judged = balanced_accuracy(count_classes(found.logits(val).argmax(1), val_labels, 3))
    assert judged == pytest.approx(chosen.val_balanced_accuracy, abs=1 / len(val))
    assert chosen.val_balanced_accuracy == max(row.val_balanced_accuracy for row in found.path)


def test_a_fit_to_means_of_some_images_remembers_nothing_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "MOST_PRODUCTS", 0)
    images, labels = _world((60, 20, 6), seed=11)
    train = (images[:, None] + np.random.default_rng(3).normal(size=(len(labels), 4, N_FEATURES))).astype(np.float16)
    found = fit_probe(train, labels, images, labels, n_classes=3)
    some = np.arange(0, len(labels), 2)
    affine, n_iterations = refit(found, train, labels, some, n_classes=3)
    forgetful = replace(found, weight=np.full_like(found.weight, 9), bias=np.full_like(found.bias, 9))
    again, _ = refit(forgetful, train, labels, some, n_classes=3)
    np.testing.assert_array_equal(again.weight, affine.weight)
    assert n_iterations > 0


def test_the_fold_of_a_set_just_above_the_limit_is_fitted_like_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = _world((60, 20, 6), seed=11)
    train = (images[:, None] + np.random.default_rng(3).normal(size=(len(labels), 4, N_FEATURES))).astype(np.float16)
    monkeypatch.setattr(row_blocks, "MOST_PRODUCTS", train.size * 3 - 1)
    found = fit_probe(train, labels, images, labels, n_classes=3)
    some = np.arange(0, len(labels), 2)
    affine, _ = refit(found, train, labels, some, n_classes=3)
    forgetful = replace(found, weight=np.full_like(found.weight, 9), bias=np.full_like(found.bias, 9))
    again, _ = refit(forgetful, train, labels, some, n_classes=3)
    np.testing.assert_array_equal(again.weight, affine.weight, "it has not seen the images that are left out")
    monkeypatch.setattr(row_blocks, "MOST_PRODUCTS", 0)
    far_above, _ = refit(found, train, labels, some, n_classes=3)
    np.testing.assert_array_equal(far_above.weight, affine.weight)


def _mean_loss(logits: NDArray, labels: NDArray) -> float:
    odds = np.exp(logits.astype(float))
    return float(-np.log(odds[np.arange(len(labels)), labels] / odds.sum(1)).mean())


def test_the_prior_is_the_mean_softmax_on_a_balanced_set() -> None:
    logits = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    odds = np.exp(logits.astype(float))
    expected = (odds / odds.sum(1, keepdims=True)).mean(0)
    log_prior = teacher_log_prior(logits, np.arange(12) % 3)
    np.testing.assert_allclose(np.exp(log_prior), expected, rtol=1e-12)
    assert log_prior.dtype == np.float64


def test_the_prior_weighs_classes_alike_whatever_their_share() -> None:
    balanced = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    labels = np.arange(6) % 3
    skewed = np.concatenate([balanced, balanced[labels == 0], balanced[labels == 0]])
    skewed_labels = np.concatenate([labels, np.zeros(4, np.int64)])
    np.testing.assert_allclose(teacher_log_prior(skewed, skewed_labels), teacher_log_prior(balanced, labels))
