"""Fit the teacher's classifier, of any form, and compute its targets for every training view.

Targets are `in_fold` (the fit has seen the image) or `out_of_fold`. For the latter the training images, not their
views, are dealt into K folds, class by class. The targets of each fold come from a fit on the other folds. A probe
that memorises its training set has hard targets in fold (100 % accuracy against 72 % was seen), honest ones out of
fold. Everywhere else the teacher is the fit on all images: on D_val, on test, for its prior and for `forward` targets.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.teacher.embeddings import ClassEmbeddings
from trainables.cckd.teacher.fit.ncm import class_means, fit_ncm
from trainables.cckd.teacher.fit.prior import (
    distance_from_labels,
    fixed_point_log_prior,
    log_prior_of_views,
    smooth,
    teacher_log_prior,
)
from trainables.cckd.teacher.fit.probe import ProbeFit, fit_probe, refit
from trainables.cckd.teacher.fit.row_blocks import feature_statistics, image_blocks
from trainables.cckd.teacher.fit.top_k_logits import DENSE_CLASSES, TopKLogits, empty_top, keep_top
from trainables.cckd.teacher.readout import Readout, unit
from trainables.cckd.teacher.spec import TeacherSpec

#: The fold of an image must be the same in every study of the same data.
_FOLD_SEED = 0

#: A network's own classifier: weight (O, D) and bias (O,).
Classifier = tuple[NDArray[np.float32], NDArray[np.float32]]

#: Image indices, int64 (n,), None for all images, and the readout that computes their targets.
Judge = tuple[NDArray[np.int64] | None, Readout]


@dataclass(frozen=True, eq=False)
class FittedTeacher:
    """A teacher with its targets and its prior.

    Attributes:
        readout: the fit on all training images.
        train_logits: raw logits of every training view, the targets: float16 (N, V, C), or their largest.
        log_prior: log p^t, float64 (C,).
        prior_distance: total variation between p^t and D_val's true prior, 0 to 1.
        train_accuracy: accuracy of the fit on all images, on the training views that it was fitted to.
        target_accuracy: accuracy of the targets; below train_accuracy where they are out of fold.
    """

    readout: Readout
    train_logits: NDArray[np.float16] | TopKLogits
    log_prior: NDArray[np.float64]
    prior_distance: float
    train_accuracy: float
    target_accuracy: float


def fit_teacher(
    spec: TeacherSpec,
    train_features: NDArray[np.float16],
    train_labels: NDArray[np.int64],
    val_features: NDArray[np.float16],
    val_labels: NDArray[np.int64],
    *,
    n_classes: int,
    classifier: Classifier | None = None,
    embeddings: ClassEmbeddings | None = None,
) -> FittedTeacher:
    """Fit by `spec.form`, compute the targets by `spec.targets`, and take the prior by `spec.prior`.

    Args:
        spec: the teacher.
        train_features: raw, (N, V, D).
        train_labels: int64 (N,), every class present.
        val_features: raw, (M, D).
        val_labels: int64 (M,).
        n_classes: C.
        classifier: the network's own, for head and checkpoint, and for a zero_shot with embeddings in its outputs.
        embeddings: the class embeddings of form zero_shot.
    """
    if spec.form == "linear_probe":
        readout: Readout = fit_probe(
            train_features, train_labels, val_features, val_labels, n_classes=n_classes, tau=spec.tau
        )
    elif spec.form == "ncm":
        readout = fit_ncm(train_features, train_labels, val_features, val_labels, n_classes=n_classes)
    else:
        readout = _unfitted(spec.form, train_features, classifier, embeddings)
    seen: list[Judge] = [(None, readout)]
    judges = seen
    if spec.targets == "out_of_fold":
        judges = _fold_judges(spec, readout, train_features, train_labels, n_classes=n_classes)
    logits, target_accuracy = _targets(judges, train_features, train_labels, n_classes)
    train_accuracy = target_accuracy if judges is seen else _targets(seen, train_features, train_labels, n_classes)[1]
    log_prior = _log_prior(spec, judges, train_features, train_labels, readout.logits(val_features), val_labels)
    return FittedTeacher(
        readout=readout,
        train_logits=logits,
        log_prior=log_prior,
        prior_distance=distance_from_labels(log_prior, val_labels),
        train_accuracy=train_accuracy,
        target_accuracy=target_accuracy,
    )


def deal_folds(labels: NDArray[np.int64], n_folds: int) -> NDArray[np.int64]:
    """Return the fold of each image, int64 (N,): every class is spread over the folds as evenly as possible."""
    rng = np.random.default_rng(_FOLD_SEED)
    folds = np.empty(len(labels), np.int64)
    next_fold = 0  # a class starts in the fold after the last one of the previous class, so that folds have equal size
    for class_id in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == class_id))
        folds[members] = (next_fold + np.arange(len(members))) % n_folds
        next_fold = (next_fold + len(members)) % n_folds
    return folds


def _unfitted(
    form: str, train_features: NDArray[np.float16], classifier: Classifier | None, embeddings: ClassEmbeddings | None
) -> Readout:
    """Return the readout of a form that learns no classifier from the training set."""
    mean, std = feature_statistics(train_features)
    if form == "zero_shot":
        assert embeddings is not None, "check_fit requires embeddings for zero_shot"
        # Cosines in the output space of the network's projection (CLIP's image tower), or in its feature space.
        projected = classifier is not None and len(classifier[0]) == embeddings.vectors.shape[1]
        projection, offset = classifier if classifier is not None and projected else (None, None)
        return Readout(
            weight=unit(embeddings.vectors),
            bias=np.zeros(len(embeddings.vectors), np.float32),
            feature_mean=mean,
            feature_std=std,
            scale=embeddings.scale,
            projection=projection,
            offset=offset,
        )
    assert classifier is not None, "check_fit requires a classifier for head and checkpoint"
    weight, bias = (array.astype(np.float64) for array in classifier)
    # The readout works on standardised features: W f + b = (W std) s + (W mean + b).
    return Readout(
        weight=(weight * std).astype(np.float32),
        bias=(weight @ mean + bias).astype(np.float32),
        feature_mean=mean,
        feature_std=std,
    )


def _fold_judges(
    spec: TeacherSpec, readout: Readout, features: NDArray[np.float16], labels: NDArray[np.int64], *, n_classes: int
) -> list[Judge]:
    """Return each fold with a readout fitted to all other folds; strength and scale are those chosen on D_val."""
    folds = deal_folds(labels, spec.folds)
    judges: list[Judge] = []
    for fold in np.unique(folds):
        others = np.flatnonzero(folds != fold)
        if isinstance(readout, ProbeFit):
            of_others = refit(readout, features, labels, others, n_classes=n_classes, tau=spec.tau)
        else:
            of_others = replace(readout, weight=class_means(features, labels, others, n_classes=n_classes))
        judges.append((np.flatnonzero(folds == fold), of_others))
    return judges


def _judged(
    judges: list[Judge], features: NDArray[np.float16]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield (image indices (n,), raw logits (n, V, C)), one block at a time."""
    for images, readout in judges:
        for rows, raw in image_blocks(features, images, n_classes=len(readout.weight)):
            yield rows, readout.logits(raw)


def _targets(
    judges: list[Judge], features: NDArray[np.float16], labels: NDArray[np.int64], n_classes: int
) -> tuple[NDArray[np.float16] | TopKLogits, float]:
    """Return the logits of every view in storage form, in the order of the images, and their accuracy."""
    n_images, n_views = features.shape[:2]
    kept: NDArray[np.float16] | TopKLogits
    if n_classes > DENSE_CLASSES:
        kept = empty_top(n_images, n_views, n_classes)
    else:
        kept = np.empty((n_images, n_views, n_classes), np.float16)
    n_right = 0
    for rows, logits in _judged(judges, features):
        if isinstance(kept, TopKLogits):
            kept[rows] = keep_top(logits)
        else:
            kept[rows] = logits
        n_right += int((logits.argmax(axis=-1) == labels[rows, None]).sum())
    return kept, n_right / (n_images * n_views)


def _log_prior(
    spec: TeacherSpec,
    judges: list[Judge],
    train_features: NDArray[np.float16],
    train_labels: NDArray[np.int64],
    val_logits: NDArray[np.float32],
    val_labels: NDArray[np.int64],
) -> NDArray[np.float64]:
    n_classes = val_logits.shape[1]
    if spec.prior == "uniform":
        return np.full(n_classes, -np.log(n_classes))
    if spec.prior == "fixed_point":
        found = fixed_point_log_prior(val_logits, val_labels)
    elif spec.prior == "train":
        chunks = ((logits, train_labels[rows]) for rows, logits in _judged(judges, train_features))
        found = log_prior_of_views(chunks, train_labels)
    else:
        found = teacher_log_prior(val_logits, val_labels)
    return smooth(found, spec.prior_smoothing)
