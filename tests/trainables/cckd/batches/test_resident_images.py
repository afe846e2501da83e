import warnings

import numpy as np
import pytest
import torch

from trainables.cckd.batches.resident_images import ResidentImages, view_of_epoch
from trainables.cckd.data.images.views import apply_views, draw_views
from trainables.cckd.errors import DataError
from trainables.cckd.tensors import resident

CPU = torch.device("cpu")


def _reference_view(image: np.ndarray, view: np.ndarray) -> np.ndarray:
    top, left, height, width, flip = view.tolist()
    out = np.zeros((image.shape[0], height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            row, column = top + y, left + (width - 1 - x if flip else x)
            if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
                out[:, y, x] = image[:, row, column]
    return out


@pytest.fixture(params=[1, 3], ids=["grey", "colour"])
def images(request: pytest.FixtureRequest) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, request.param, 5, 7), np.uint8)


def _resident(images: np.ndarray, views: np.ndarray) -> ResidentImages:
    channels = np.arange(1, images.shape[1] + 1)
    return ResidentImages(images, views, pixel_mean=0.1 * channels, pixel_std=0.2 * channels, device=CPU)


def test_a_batch_holds_each_images_own_window(images: np.ndarray) -> None:
    views = draw_views(6, 4, padding=2, flip=True, height=5, width=7, seed=1)
    store, chosen = _resident(images, views), np.array([3, 0, 3, 5])
    which = np.array([0, 1, 2, 3])
    found = store.pixels(torch.from_numpy(chosen), torch.from_numpy(views[chosen, which]))
    expected = np.stack([_reference_view(images[i], views[i, v]) for i, v in zip(chosen, which, strict=True)])
    np.testing.assert_array_equal(found.numpy(), expected)
    np.testing.assert_array_equal(found.numpy(), apply_views(images[chosen], views[chosen, which]))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_is_normalised_channel_by_channel(images: np.ndarray) -> None:
    views = draw_views(6, 1, padding=0, flip=False, height=5, width=7, seed=1)
    store = _resident(images, views)
    found = store.normalise(store.pixels(torch.arange(6), torch.from_numpy(views[:, 0])))
    channels = np.arange(1, images.shape[1] + 1)[:, None, None]
    np.testing.assert_allclose(found.numpy(), (images / 255 - 0.1 * channels) / (0.2 * channels), atol=1e-5)


def test_views_of_another_size_than_the_image_are_refused(images: np.ndarray) -> None:
    views = draw_views(6, 1, padding=1, flip=False, height=5, width=7, seed=1)
    views[2, 0, 2] = 4
    with pytest.raises(DataError, match=r"5x7 pixels.*got 4x7, 5x7"):
        _resident(images, views)


def test_every_image_sees_all_its_views_before_one_repeats() -> None:
    blocks = np.stack([view_of_epoch(3, epoch, 50, 4) for epoch in range(1, 9)])
    for block in (blocks[:4], blocks[4:]):
        np.testing.assert_array_equal(np.sort(block, axis=0), np.arange(4)[:, None].repeat(50, axis=1))
    assert not np.array_equal(blocks[:4], blocks[4:])


def test_images_do_not_share_one_view_an_epoch() -> None:
    # The shared view is the trap: every view has to appear in every epoch.
    for epoch in range(1, 9):
        assert set(view_of_epoch(0, epoch, 100, 4)) == {0, 1, 2, 3}


def test_read_only_arrays_are_lent_to_torch_without_copy_or_warning() -> None:
    array = np.arange(6)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = resident(array, CPU)
    assert tensor.data_ptr() == array.ctypes.data
