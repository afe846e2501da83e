"""The linear probe: logit-adjusted multinomial regression on standardised, frozen features.

It minimises mean CE(W f + b + tau log p_tr, y) + L2/2 |W|^2 (Menon et al., ICLR 2021, eq. 10) and predicts with raw
W f + b. At tau = 1 it is balanced; at tau = 0 it is plain regression, which favours the head. The strength L2 is chosen
on D_val. The training accuracy is kept too, because a probe that memorises has hard targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from trainables.cckd.metrics import accuracy, balanced_accuracy, count_classes
from trainables.cckd.teacher.fit.row_blocks import StandardRows, feature_statistics
from trainables.cckd.teacher.readout import Readout

#: L2 strengths to try, strongest first: each fit starts from the result of the stronger one.
STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)

_MAX_ITERATIONS = 200


class StrengthRow(NamedTuple):
    """The result of one L2 strength; accuracies are fractions."""

    strength: float
    train_accuracy: float
    val_accuracy: float
    val_balanced_accuracy: float
    iterations: int


@dataclass(frozen=True, eq=False, kw_only=True)
class ProbeFit(Readout):
    """A fitted probe: an affine readout with its results.

    Attributes:
        strength: the L2 strength chosen.
        path: one row per strength, strongest first.
    """

    strength: float
    path: tuple[StrengthRow, ...]


def fit_probe(
    train_features: NDArray[np.float16],
    train_labels: NDArray[np.int64],
    val_features: NDArray[np.float16],
    val_labels: NDArray[np.int64],
    *,
    n_classes: int,
    tau: float = 1.0,
    strengths: Sequence[float] = STRENGTHS,
) -> ProbeFit:
    """Fit along the L2 path; keep the strength with the best balanced accuracy on D_val (ties: the largest).

    Args:
        train_features: raw, (N, V, D); every cached view is a sample, so the teacher needs no extra pass.
        train_labels: int64 (N,), every class present.
        val_features: raw, (M, D).
        val_labels: int64 (M,).
        n_classes: C.
        tau: strength of the logit adjustment.
        strengths: L2 strengths to try.
    """
    n_views, n_features = train_features.shape[1:]
    feature_mean, feature_std = feature_statistics(train_features)
    labels = np.repeat(train_labels, n_views)
    samples = StandardRows(train_features, feature_mean, feature_std, n_classes=n_classes)
    val_samples = StandardRows(val_features[:, None], feature_mean, feature_std, n_classes=n_classes)
    point = np.zeros(n_classes * (n_features + 1))
    fits: list[tuple[StrengthRow, NDArray[np.float32], NDArray[np.float32]]] = []
    for strength in sorted(strengths, reverse=True):
        point, iterations = _fit_one(samples, labels, n_classes, strength, tau=tau, start=point)
        weight, bias = _unpack(point, n_classes)
        seen = count_classes(_predict(samples, weight, bias), labels, n_classes)
        val = count_classes(_predict(val_samples, weight, bias), val_labels, n_classes)
        row = StrengthRow(strength, accuracy(seen), accuracy(val), balanced_accuracy(val), iterations)
        fits.append((row, weight, bias))
    # max takes the first of equals, the stronger one. Equal means may differ in the last bit, so they are rounded.
    best, weight, bias = max(fits, key=lambda fit: round(fit[0].val_balanced_accuracy, 9))
    return ProbeFit(
        weight=weight,
        bias=bias,
        feature_mean=feature_mean,
        feature_std=feature_std,
        strength=best.strength,
        path=tuple(row for row, _, _ in fits),
    )


def refit(
    fit: ProbeFit,
    features: NDArray[np.float16],
    labels: NDArray[np.int64],
    images: NDArray[np.int64],
    *,
    n_classes: int,
    tau: float = 1.0,
) -> Readout:
    """Fit again on some images, at the strength and in the feature space of `fit`, starting from it.

    Args:
        fit: the fit on all training images.
        features: raw features of all images, (N, V, D).
        labels: int64 (N,).
        images: indices of the images to fit to, int64; every class is among them.
        n_classes: C.
        tau: strength of the logit adjustment.
    """
    samples = StandardRows(features, fit.feature_mean, fit.feature_std, n_classes=n_classes, images=images)
    start = np.concatenate([fit.weight.ravel(), fit.bias]).astype(np.float64)
    every = np.repeat(labels[images], features.shape[1])
    point, _ = _fit_one(samples, every, n_classes, fit.strength, tau=tau, start=start)
    weight, bias = _unpack(point, n_classes)
    return Readout(weight=weight, bias=bias, feature_mean=fit.feature_mean, feature_std=fit.feature_std)


def _fit_one(
    samples: StandardRows,
    labels: NDArray[np.int64],
    n_classes: int,
    strength: float,
    *,
    tau: float,
    start: NDArray[np.float64],
) -> tuple[NDArray[np.float64], int]:
    """Run L-BFGS from `start`, with products in float32, sums and optimiser in float64."""
    n_samples = len(samples)
    counts = np.bincount(labels, minlength=n_classes)
    assert (counts > 0).all(), "every class must have training images"
    adjustment = (tau * np.log(counts / n_samples)).astype(np.float32)

    def loss_and_gradient(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weight, bias = _unpack(point, n_classes)
        flat_weight = point[:-n_classes]
        loss = strength / 2 * float(flat_weight @ flat_weight)
        slope, bias_slope = strength * flat_weight, np.zeros(n_classes)
        for rows, block in samples:
            own = np.arange(len(block)), labels[rows]
            log_posterior = (block @ weight.T + (bias + adjustment)).astype(np.float64)
            log_posterior -= logsumexp(log_posterior, axis=1, keepdims=True)
            loss -= float(log_posterior[own].sum()) / n_samples
            residual = np.exp(log_posterior, out=log_posterior)
            residual[own] -= 1
            residual /= n_samples
            slope += (residual.astype(np.float32).T @ block).ravel()
            bias_slope += residual.sum(axis=0)
        return loss, np.concatenate([slope, bias_slope])

    found = minimize(
        loss_and_gradient,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MAX_ITERATIONS, "ftol": 1e-7, "gtol": 1e-5},
    )
    return found.x, int(found.nit)


def _predict(samples: StandardRows, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the class of the largest logit of each sample, int64 (n,)."""
    found = np.empty(len(samples), np.int64)
    for rows, block in samples:
        found[rows] = (block @ weight.T + bias).argmax(axis=1)
    return found


def _unpack(point: NDArray[np.float64], n_classes: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weight (C, D) and bias (C,) from the flat point."""
    flat = point.astype(np.float32)
    return flat[:-n_classes].reshape(n_classes, -1), flat[-n_classes:]
