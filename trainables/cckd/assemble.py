"""From a data set and its teacher's features to the one bundle that every trial reads."""

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.bundle import TestData, TrialData
from trainables.cckd.data.load import LongTailData
from trainables.cckd.metrics import count_classes
from trainables.cckd.records import ClassCounts
from trainables.cckd.teacher.prior import teacher_log_prior
from trainables.cckd.teacher.probe import ProbeFit
from trainables.cckd.teacher.spec import TeacherSpec


def assemble(
    data: LongTailData,
    views: NDArray[np.int16],
    train_features: NDArray[np.float16],
    val_features: NDArray[np.float16],
    probe: ProbeFit,
    teacher_spec: TeacherSpec,
) -> TrialData:
    """Put together what a trial needs; the test set stays out.

    Args:
        data: the long-tailed set.
        views: int16 (N, V, 5), the views `train_features` were computed on.
        train_features: raw teacher features, float16 (N, V, D).
        val_features: raw teacher features of D_val, float16 (M, D); they give the teacher's prior.
        probe: fitted on those features.
        teacher_spec: what they were computed with.
    """
    height, width = data.image_shape[1:]
    pixels = data.train.images / 255
    return TrialData(
        name=data.spec.name,
        class_names=data.class_names,
        train_images=data.train.images,
        train_labels=data.train.labels,
        val_images=data.val.images,
        val_labels=data.val.labels,
        views=views,
        teacher_logits=probe.logits(train_features).astype(np.float16),
        teacher_features=probe.standardise(train_features).astype(np.float16),
        teacher_log_prior=teacher_log_prior(probe.logits(val_features), data.val.labels),
        pixel_mean=pixels.mean(axis=(0, 2, 3)),
        pixel_std=pixels.std(axis=(0, 2, 3)),
        teacher=probe.state(name=teacher_spec.name, size=teacher_spec.input_size(height, width)),
    )


def assemble_test(data: LongTailData) -> TestData:
    """The test set on its own, so that only what confirms a study is ever handed it."""
    return TestData(data.test.images, data.test.labels)


def teacher_counts(
    probe: ProbeFit, features: NDArray[np.float16], labels: NDArray[np.int64], *, n_classes: int
) -> ClassCounts:
    """The teacher's right answers per class, from raw features (N, D) of any set and its labels (N,)."""
    return count_classes(probe.logits(features).argmax(axis=1), labels, n_classes)
