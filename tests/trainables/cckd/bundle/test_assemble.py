"""From data and features to the bundle: nothing lost, nothing of the test set in it."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from trainables.cckd.bundle.assemble import (
    assemble,
    assemble_test,
    images_of,
    judge_teacher,
    pixel_statistics,
    student_size,
    training_views,
)
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.sets import ImageSet
from trainables.cckd.data.images.view_rule import ViewRule
from trainables.cckd.data.images.views import draw_views
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.spec import parse_data
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher
from trainables.cckd.teacher.fit.prior import teacher_log_prior
from trainables.cckd.teacher.fit.probe import ProbeFit, fit_probe
from trainables.cckd.teacher.readout import TeacherState

N_VIEWS = 2


@pytest.fixture(scope="module")
def data() -> LongTailData:
    return load_data(parse_data("digits_lt:n_max=20,ir=10"), data_root=Path("/nonexistent"), download=False)


@pytest.fixture(scope="module")
def parts(data: LongTailData) -> tuple[np.ndarray, np.ndarray, np.ndarray, ProbeFit]:
    """Views, features and probe; the features are the pixels, which a probe can read."""
    views = draw_views(len(data.train), N_VIEWS, padding=1, flip=False, height=8, width=8, seed=0)
    pixels = [of_set.images.reshape(len(of_set), -1).astype(np.float16) for of_set in (data.train, data.val)]
    train = np.stack([pixels[0], pixels[0] + 1], axis=1)
    probe = fit_probe(train, data.train.labels, pixels[1], data.val.labels, n_classes=10, strengths=(0.1,))
    return views, train, pixels[1], probe


@pytest.fixture(scope="module")
def bundle(data: LongTailData, parts: tuple[np.ndarray, np.ndarray, np.ndarray, ProbeFit]) -> TrialData:
    return assemble(data, parts[0], parts[1], *_fitted(data, parts))


def _fitted(
    data: LongTailData, parts: tuple[np.ndarray, np.ndarray, np.ndarray, ProbeFit]
) -> tuple[FittedTeacher, TeacherState]:
    _, _, val, probe = parts
    prior = teacher_log_prior(probe.logits(val), data.val.labels)
    fitted = FittedTeacher(probe, prior, 0.0, 1.0, 1.0)
    return fitted, probe.state(name="tf_efficientnet_lite0", size=96)


def test_the_bundle_holds_the_training_and_validation_sets(bundle: TrialData, data: LongTailData) -> None:
    np.testing.assert_array_equal(bundle.train_images, data.train.images)
    np.testing.assert_array_equal(bundle.val_labels, data.val.labels)
    assert (bundle.name, bundle.class_names) == ("digits_lt", tuple("0123456789"))
    assert tuple(bundle.counts) == data.counts


def test_features_are_the_probes_in_half_precision(
    bundle: TrialData, parts: tuple[np.ndarray, np.ndarray, np.ndarray, ProbeFit]
) -> None:
    _, train, _, probe = parts
    standard = (train.astype(float) - probe.feature_mean) / probe.feature_std
    assert bundle.teacher_features.dtype == np.float16
    np.testing.assert_allclose(bundle.teacher_features.astype(float), standard, atol=0.01)
    np.testing.assert_array_equal(bundle.views, parts[0])
    assert bundle.view_rule == ViewRule(padding=1, flip=False)


def test_the_prior_is_a_distribution_and_pixel_statistics_are_fractions(bundle: TrialData, data: LongTailData) -> None:
    assert np.exp(bundle.teacher_log_prior).sum() == pytest.approx(1)
    np.testing.assert_allclose(bundle.pixel_mean, [data.train.images.mean() / 255])
    np.testing.assert_allclose(bundle.pixel_std, [data.train.images.std() / 255])


def test_the_teachers_state_names_its_backbone_and_input_size(bundle: TrialData) -> None:
    assert (bundle.teacher.name, bundle.teacher.size) == ("tf_efficientnet_lite0", 96)
    assert bundle.teacher.weight.shape == (10, 64)


def test_the_bundle_survives_pickling(bundle: TrialData) -> None:
    copy = pickle.loads(pickle.dumps(bundle))
    np.testing.assert_array_equal(copy.teacher_features, bundle.teacher_features)
    np.testing.assert_array_equal(copy.teacher.weight, bundle.teacher.weight)


def test_the_test_set_is_handed_out_on_its_own(data: LongTailData, bundle: TrialData) -> None:
    test = assemble_test(data)
    np.testing.assert_array_equal(test.images, data.test.images)
    known = {image.tobytes() for image in np.concatenate([bundle.train_images, bundle.val_images])}
    assert not any(image.tobytes() in known for image in test.images)


def test_the_teacher_is_counted_per_class_and_per_bin_of_its_confidence(
    data: LongTailData, parts: tuple[np.ndarray, np.ndarray, np.ndarray, ProbeFit]
) -> None:
    _, _, val, probe = parts
    counts, bins = judge_teacher(probe, val, data.val.labels, n_classes=10)
    assert counts.seen == (40,) * 10
    assert sum(counts.correct) / 400 == pytest.approx(probe.path[0].val_accuracy)
    exponentials = np.exp(probe.logits(val).astype(np.float64))
    confidence = (exponentials / exponentials.sum(axis=1, keepdims=True)).max(axis=1)
    assert (sum(bins.n), sum(bins.correct)) == (400, sum(counts.correct))
    assert sum(bins.confidence) == pytest.approx(confidence.sum())


def _world(train: object, **options: object) -> SimpleNamespace:
    shape = (1, 8, 6) if isinstance(train, ImageSet) else (3, 32, 32)
    return SimpleNamespace(train=train, image_shape=shape, padding=2, flip=True, spec=SimpleNamespace(options=options))


@pytest.fixture
def array_set() -> ImageSet:
    return ImageSet(np.random.default_rng(0).integers(0, 256, (20, 1, 8, 6), np.uint8), np.zeros(20, np.int64))


def test_an_array_is_shifted_and_files_are_cropped(array_set: ImageSet, image_files: ImageFiles) -> None:
    shifts = training_views(_world(array_set), 4, seed=0)
    assert np.unique(shifts[..., 2:4].reshape(-1, 2), axis=0).tolist() == [[8, 6]]
    assert (shifts[..., :2].min(), shifts[..., :2].max()) == (-2, 2)
    crops = training_views(_world(image_files, crop_scale=0.9), 4, seed=0).astype(int)
    share = crops[..., 2] * crops[..., 3] / image_files.sizes.astype(int).prod(axis=1)[:, None]
    assert crops.shape == (42, 4, 5)
    near_square = (image_files.sizes.max(axis=1) / image_files.sizes.min(axis=1)) < 1.2
    assert share[near_square].min() > 0.8  # 0.9, and the rounding to whole pixels


def test_only_files_need_a_size(array_set: ImageSet, image_files: ImageFiles) -> None:
    assert student_size(_world(array_set)) is None
    assert student_size(_world(image_files)) == 32
    assert images_of(array_set) is array_set.images
    assert images_of(image_files) is image_files


def test_statistics_of_an_array_are_over_all_of_it(array_set: ImageSet) -> None:
    mean, std = pixel_statistics(array_set.images)
    np.testing.assert_allclose([mean[0], std[0]], [array_set.images.mean() / 255, array_set.images.std() / 255])
