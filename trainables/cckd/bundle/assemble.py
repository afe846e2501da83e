"""From a data set and its teacher's features to the bundle that every trial reads."""

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.bundle.mapped_features import IN_MEMORY_BYTES, RawFeatures, source_of
from trainables.cckd.bundle.trial_data import TestData, TrialData
from trainables.cckd.confidence import ConfidenceBins, confidence_bins, top_confidence
from trainables.cckd.data.images.crops import CROP_SCALE
from trainables.cckd.data.images.decoded_images import Images, RaggedImages
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.sets import ImageSet
from trainables.cckd.data.images.view_rule import ViewRule
from trainables.cckd.data.load import LongTailData
from trainables.cckd.metrics import count_classes
from trainables.cckd.records import ClassCounts
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher
from trainables.cckd.teacher.fit.row_blocks import blocks, image_blocks
from trainables.cckd.teacher.readout import Readout, TeacherState


def assemble(
    data: LongTailData,
    views: NDArray[np.int16],
    train_features: NDArray[np.float16],
    fitted: FittedTeacher,
    state: TeacherState,
    *,
    one_machine: bool = True,
) -> TrialData:
    """Assemble the data of a trial; the test set is not part of it.

    Args:
        data: the long-tailed set.
        views: int16 (N, V, 5), the views of `train_features`.
        train_features: raw teacher features, float16 (N, V, D).
        fitted: the teacher fitted on those features, with its prior.
        state: the same teacher with its backbone.
        one_machine: whether every trial can read the cache's file in place.
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
        view_rule=view_rule(data),
        teacher_features=_teacher_features(fitted.readout, train_features, one_machine=one_machine),
        teacher_log_prior=fitted.log_prior,
        pixel_mean=pixel_mean,
        pixel_std=pixel_std,
        teacher=state,
        fold_readouts=fitted.fold_readouts,
        size=student_size(data),
    )


def assemble_test(data: LongTailData) -> TestData:
    """Return the test set on its own: only the phase that confirms a study may have it."""
    return TestData(images_of(data.test), data.test.labels)


def judge_teacher(
    readout: Readout, features: NDArray[np.float16], labels: NDArray[np.int64], *, n_classes: int
) -> tuple[ClassCounts, ConfidenceBins]:
    """Return the teacher's counts per class and its sums per bin of confidence, both of its raw logits.

    Args:
        readout: the fitted teacher.
        features: raw, (N, D), of any set.
        labels: (N,), of the same set.
        n_classes: C.
    """
    predicted, confidence = np.empty(len(features), np.int64), np.empty(len(features))
    for rows in blocks(len(features), 10 * features.shape[1] + 24 * n_classes):
        logits = readout.logits(features[rows])
        predicted[rows] = logits.argmax(axis=1)
        confidence[rows] = top_confidence(logits)
    return count_classes(predicted, labels, n_classes), confidence_bins(confidence, predicted == labels)


def images_of(of_set: ImageSet | ImageFiles | RaggedImages) -> Images:
    """Return the images of a set without their labels."""
    return of_set.images if isinstance(of_set, ImageSet) else of_set


def student_size(data: LongTailData) -> int | None:
    """Return the side of the student's input where images come from a source; None for an array."""
    return None if isinstance(data.train, ImageSet) else data.image_shape[1]


def training_views(data: LongTailData, n_views: int, *, seed: int) -> NDArray[np.int16]:
    """Draw V views of each training image, int16 (N, V, 5): the views that the teacher sees."""
    members = np.arange(len(data.train))[:, None].repeat(n_views, axis=1)
    return view_rule(data).draw(images_of(data.train), members, seed=seed)


def view_rule(data: LongTailData) -> ViewRule:
    """Return how the set's training views are drawn."""
    crop_scale = float(data.spec.options.get("crop_scale", CROP_SCALE))
    return ViewRule(padding=data.padding, flip=data.flip, crop_scale=crop_scale)


def pixel_statistics(images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and deviation of each channel, (Ch,), as fractions 0-1; of a source, over a sample of its images."""
    if isinstance(images, np.ndarray):
        pixels = images / 255
        return pixels.mean(axis=(0, 2, 3)), pixels.std(axis=(0, 2, 3))
    from trainables.cckd.data.images.view_stream import pixel_moments  # imports torch, which arrays do not need

    return pixel_moments(images, workers=0)


def _teacher_features(
    readout: Readout, features: NDArray[np.float16], *, one_machine: bool
) -> NDArray[np.float16] | RawFeatures:
    """Return small features standardised in memory, large ones raw in their file."""
    if features.nbytes <= IN_MEMORY_BYTES:
        standard = np.empty(features.shape, np.float16)
        for images, raw in image_blocks(features, None, n_classes=0):
            standard[images] = readout.standardise(raw)
        return standard
    values = source_of(features, one_machine=one_machine)
    return RawFeatures(values, readout.feature_mean, readout.feature_std)
