from types import SimpleNamespace

import numpy as np
import pytest

from trainables.cckd.bundle.viewing import images_of, pixel_statistics, student_size, training_views
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.sets import ImageSet


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
