"""From a data set and its teacher's features to the one bundle that every trial reads."""

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.bundle.mapped_features import IN_MEMORY_BYTES, FileArray, RawFeatures
from trainables.cckd.bundle.trial_data import TeacherState, TestData, TrialData
from trainables.cckd.bundle.viewing import images_of, pixel_statistics, student_size
from trainables.cckd.data.load import LongTailData
from trainables.cckd.metrics import count_classes
from trainables.cckd.records import ClassCounts
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher
from trainables.cckd.teacher.fit.readout import Readout
from trainables.cckd.teacher.fit.row_blocks import blocks, image_blocks


def assemble(
    data: LongTailData,
    views: NDArray[np.int16],
    train_features: NDArray[np.float16],
    fitted: FittedTeacher,
    state: TeacherState,
    *,
    one_machine: bool = True,
) -> TrialData:
    """Put together what a trial needs; the test set stays out.

    Args:
        data: the long-tailed set.
        views: int16 (N, V, 5), the views `train_features` were computed on.
        train_features: raw teacher features, float16 (N, V, D).
        fitted: the teacher fitted on those features, with its targets and prior.
        state: the same teacher as `forward` targets need it.
        one_machine: whether every trial can read the cache's file where it lies.
    """
    pixel_mean, pixel_std = pixel_statistics(images_of(data.train))
    return TrialData(
        name=data.spec.name,
        class_names=data.class_names,
        train_images=images_of(data.train),
        train_labels=data.train.labels,
        val_images=images_of(data.val),
        val_labels=data.val.labels,
        views=views,
        teacher_logits=fitted.train_logits,
        teacher_features=_teacher_features(fitted.readout, train_features, one_machine=one_machine),
        teacher_log_prior=fitted.log_prior,
        pixel_mean=pixel_mean,
        pixel_std=pixel_std,
        teacher=state,
        size=student_size(data),
    )


def assemble_test(data: LongTailData) -> TestData:
    """The test set on its own, so that only what confirms a study is ever handed it."""
    return TestData(images_of(data.test), data.test.labels)


def teacher_counts(
    readout: Readout, features: NDArray[np.float16], labels: NDArray[np.int64], *, n_classes: int
) -> ClassCounts:
    """The teacher's right answers per class, from raw features (N, D) of any set and its labels (N,)."""
    predicted = np.empty(len(features), np.int64)
    for rows in blocks(len(features), 10 * features.shape[1] + 8 * n_classes):
        predicted[rows] = readout.logits(features[rows]).argmax(axis=1)
    return count_classes(predicted, labels, n_classes)


def _teacher_features(
    readout: Readout, features: NDArray[np.float16], *, one_machine: bool
) -> NDArray[np.float16] | RawFeatures:
    """Standardised in memory where they are few, else raw where they lie."""
    if features.nbytes <= IN_MEMORY_BYTES:
        standard = np.empty(features.shape, np.float16)
        for images, raw in image_blocks(features, None, n_classes=0):
            standard[images] = readout.standardise(raw)
        return standard
    values: FileArray | NDArray[np.float16] = np.asarray(features)
    if one_machine and isinstance(features, np.memmap):
        values = FileArray.of(features)
    return RawFeatures(values, readout.feature_mean, readout.feature_std)
