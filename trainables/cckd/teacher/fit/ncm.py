"""Nearest class mean: logits are scaled cosines between a feature and the mean direction of each class."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from trainables.cckd.teacher.fit.row_blocks import Logits, ReadoutLogits, blocks, feature_statistics, image_blocks
from trainables.cckd.teacher.readout import Readout, unit

_LARGEST_SCALE = 1e3


def fit_ncm(
    train_features: NDArray[np.float16],
    train_labels: NDArray[np.int64],
    val_features: NDArray[np.float16],
    val_labels: NDArray[np.int64],
    *,
    n_classes: int,
) -> Readout:
    """Average the unit features of each class over all views, then choose the scale on D_val.

    Cosines alone lie in [-1, 1] and make nearly uniform targets. The scale minimises the cross-entropy on D_val with
    equal weight for every class; it changes no prediction.

    Args:
        train_features: raw, (N, V, D).
        train_labels: int64 (N,), every class present.
        val_features: raw, (M, D).
        val_labels: int64 (M,).
        n_classes: C.
    """
    mean, std = feature_statistics(train_features)
    readout = Readout(
        weight=class_means(train_features, train_labels, n_classes=n_classes),
        bias=np.zeros(n_classes, np.float32),
        feature_mean=mean,
        feature_std=std,
        scale=1.0,
    )
    return replace(readout, scale=best_scale(ReadoutLogits(readout, val_features), val_labels))


def class_means(
    features: NDArray[np.float16],
    labels: NDArray[np.int64],
    images: NDArray[np.int64] | None = None,
    *,
    n_classes: int,
) -> NDArray[np.float32]:
    """Return the mean direction of each class, unit length, float32 (C, D).

    Args:
        features: raw, (N, V, D).
        labels: int64 (N,).
        images: indices of the images to average over, int64; None for all.
        n_classes: C.
    """
    sums = np.zeros((n_classes, features.shape[-1]), np.float64)
    for members, raw in image_blocks(features, images, n_classes=n_classes):
        np.add.at(sums, labels[members], unit(raw.astype(np.float32)).sum(axis=1))
    return unit(sums.astype(np.float32))


def best_scale(cosines: Logits, labels: NDArray[np.int64]) -> float:
    """Return the factor on `cosines` (M, C) that minimises their balanced cross-entropy with `labels` (M,)."""
    from scipy.optimize import minimize_scalar  # takes as long as Ray itself to import; a cached fit does without it

    share = 1.0 / np.bincount(labels)[labels]

    def loss(log_scale: float) -> float:
        scale, losses = np.exp(log_scale), []
        for rows in blocks(len(cosines), 32 * cosines.shape[1]):
            of_rows = cosines[rows].astype(np.float64)
            own = of_rows[np.arange(len(of_rows)), labels[rows]]
            losses.append(logsumexp(scale * of_rows, axis=1) - scale * own)
        return float(np.average(np.concatenate(losses), weights=share))

    found = minimize_scalar(loss, bounds=(0.0, np.log(_LARGEST_SCALE)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))
