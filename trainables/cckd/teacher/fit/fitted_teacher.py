"""Fit the teacher's classifier, of any form, and take its prior.

No logits of training views are kept: a trial forms them from the cached features with a readout. These targets are
`in_fold` (the fit has seen the image) or `out_of_fold`. For the latter the training images, not their views, are dealt
into K folds, class by class. The targets of each fold come from a fit on the other folds. A probe that memorises its
training set has hard targets in fold (100 % accuracy against 72 % was seen), honest ones out of fold. Everywhere else
the teacher is the fit on all images: on D_val, on test and for `forward` targets, which are then not out of fold. So it
is for its prior, save the prior `train`, which is that of the targets.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.teacher.embeddings import ClassEmbeddings
from trainables.cckd.teacher.fit import probe
from trainables.cckd.teacher.fit.fit_steps import FitSteps
from trainables.cckd.teacher.fit.folds import FoldReadouts, deal_folds
from trainables.cckd.teacher.fit.ncm import class_means, fit_ncm
from trainables.cckd.teacher.fit.prior import (
    distance_from_labels,
    fixed_point_log_prior,
    log_prior_of_views,
    smooth,
    teacher_log_prior,
)
from trainables.cckd.teacher.fit.probe import ProbeFit, fit_probe, refit
from trainables.cckd.teacher.fit.row_blocks import Logits, ReadoutLogits, feature_statistics, image_blocks
from trainables.cckd.teacher.fit.softmax_regression import Affine
from trainables.cckd.teacher.readout import Readout, unit
from trainables.cckd.teacher.spec import TeacherSpec

#: A network's own classifier: weight (O, D) and bias (O,).
Classifier = tuple[NDArray[np.float32], NDArray[np.float32]]

#: Image indices, int64 (n,), None for all images, and the readout that computes their targets.
Judge = tuple[NDArray[np.int64] | None, Readout]


@dataclass(frozen=True, eq=False)
class FittedTeacher:
    """A teacher with its prior.

    Attributes:
        readout: the fit on all training images.
        log_prior: log p^t, float64 (C,).
        prior_distance: total variation between p^t and D_val's true prior, 0 to 1.
        train_accuracy: accuracy of the fit on all images, on the training views that it was fitted to.
        target_accuracy: accuracy of the targets; below train_accuracy where they are out of fold.
        fold_readouts: what computes the targets of the training views; None where `readout` does.
    """

    readout: Readout
    log_prior: NDArray[np.float64]
    prior_distance: float
    train_accuracy: float
    target_accuracy: float
    fold_readouts: FoldReadouts | None = None


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
    steps: FitSteps | None = None,
    device: str = "cpu",
) -> FittedTeacher:
    """Fit by `spec.form`, once more per fold where `spec.targets` asks for it, and take the prior by `spec.prior`.

    Args:
        spec: the teacher.
        train_features: raw, (N, V, D).
        train_labels: int64 (N,), every class present.
        val_features: raw, (M, D).
        val_labels: int64 (M,).
        n_classes: C.
        classifier: the network's own, for head and checkpoint, and for a zero_shot with embeddings in its outputs.
        embeddings: the class embeddings of form zero_shot.
        steps: runs and keeps the steps of a linear probe, `n_steps` of them.
        device: where the products of a linear probe are computed, 'cpu' or 'cuda'.
    """
    steps = steps or FitSteps()
    if spec.form == "linear_probe":
        readout: Readout = fit_probe(
            train_features,
            train_labels,
            val_features,
            val_labels,
            n_classes=n_classes,
            tau=spec.tau,
            steps=steps,
            device=device,
        )
    elif spec.form == "ncm":
        readout = fit_ncm(train_features, train_labels, val_features, val_labels, n_classes=n_classes)
    else:
        readout = _unfitted(spec.form, train_features, classifier, embeddings)
    seen: list[Judge] = [(None, readout)]
    judges, fold_readouts = seen, None
    if spec.targets == "out_of_fold":
        fold_readouts = _fit_folds(
            spec, readout, train_features, train_labels, steps, n_classes=n_classes, device=device
        )
        judges = _fold_judges(fold_readouts, readout)
    target_accuracy = _accuracy(judges, train_features, train_labels)
    train_accuracy = target_accuracy if judges is seen else _accuracy(seen, train_features, train_labels)
    log_prior = _log_prior(spec, judges, train_features, train_labels, ReadoutLogits(readout, val_features), val_labels)
    return FittedTeacher(
        readout=readout,
        log_prior=log_prior,
        prior_distance=distance_from_labels(log_prior, val_labels),
        train_accuracy=train_accuracy,
        target_accuracy=target_accuracy,
        fold_readouts=fold_readouts,
    )


def n_steps(spec: TeacherSpec, shape: tuple[int, int, int], n_classes: int) -> int:
    """Return the number of steps that `fit_teacher` counts; 0 where it takes no time worth counting.

    Args:
        spec: the teacher.
        shape: (N, V, D) of the training features.
        n_classes: C.
    """
    if spec.form != "linear_probe":
        return 0
    return probe.n_steps(shape, n_classes) + (spec.folds if spec.targets == "out_of_fold" else 0)


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


def _fit_folds(
    spec: TeacherSpec,
    readout: Readout,
    features: NDArray[np.float16],
    labels: NDArray[np.int64],
    steps: FitSteps,
    *,
    n_classes: int,
    device: str,
) -> FoldReadouts:
    """Fit a readout to all other folds of each fold; strength and scale are those chosen on D_val."""
    folds = deal_folds(labels, spec.folds)
    weights, biases = [], []
    for fold in np.unique(folds):
        others = np.flatnonzero(folds != fold)
        if isinstance(readout, ProbeFit):
            refitted = partial(
                refit, readout, features, labels, others, n_classes=n_classes, tau=spec.tau, device=device
            )
            of_others, _ = steps.run(f"fold {fold} at {readout.strength:g}", refitted)
            steps.count(1, f"fold {fold + 1} of {spec.folds}")
        else:
            of_others = Affine(class_means(features, labels, others, n_classes=n_classes), readout.bias)
        weights.append(of_others.weight)
        biases.append(of_others.bias)
    return FoldReadouts(np.stack(weights), np.stack(biases), folds)


def _fold_judges(folds: FoldReadouts, readout: Readout) -> list[Judge]:
    return [(np.flatnonzero(folds.fold_of == fold), folds.judge(fold, readout)) for fold in range(len(folds))]


def _judged(
    judges: list[Judge], features: NDArray[np.float16]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield (image indices (n,), raw logits (n, V, C)), one block at a time."""
    for images, readout in judges:
        for rows, raw in image_blocks(features, images, n_classes=len(readout.weight)):
            yield rows, readout.logits(raw)


def _accuracy(judges: list[Judge], features: NDArray[np.float16], labels: NDArray[np.int64]) -> float:
    """Return the share of all training views of which the judges name the right class."""
    n_right = sum(
        int((logits.argmax(axis=-1) == labels[rows, None]).sum()) for rows, logits in _judged(judges, features)
    )
    return n_right / (features.shape[0] * features.shape[1])


def _log_prior(
    spec: TeacherSpec,
    judges: list[Judge],
    train_features: NDArray[np.float16],
    train_labels: NDArray[np.int64],
    val_logits: Logits,
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
