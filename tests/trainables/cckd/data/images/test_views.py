"""Drawn views and how they are cut out, against a plain loop over pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainables.cckd.data.images.views import apply_views, draw_views


def _reference_view(image: NDArray[np.uint8], view: NDArray[np.int16]) -> NDArray[np.uint8]:
    channels, height, width = image.shape
    top, left, _, _, flip = (int(value) for value in view)
    out = np.zeros_like(image)
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                y, x = top + row, left + (width - 1 - column if flip else column)
                if 0 <= y < height and 0 <= x < width:
                    out[channel, row, column] = image[channel, y, x]
    return out


def _draw(n_images: int = 50, n_views: int = 6, *, padding: int = 2, flip: bool = True, seed: int = 0) -> NDArray:
    return draw_views(n_images, n_views, padding=padding, flip=flip, height=5, width=7, seed=seed)


@settings(max_examples=30)
@given(st.integers(0, 6), st.booleans(), st.sampled_from([1, 3]), st.integers(0, 2**63 - 1))
def test_views_are_cut_out_as_a_plain_loop_does(padding: int, flip: bool, channels: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (4, channels, 5, 7), dtype=np.uint8)
    views = _draw(4, 1, padding=padding, flip=flip, seed=seed)[:, 0]
    expected = np.stack([_reference_view(image, view) for image, view in zip(images, views, strict=True)])
    result = apply_views(images, views)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)


def test_the_unmoved_view_is_the_image() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 5, 7), dtype=np.uint8)
    views = np.tile(np.array([0, 0, 5, 7, 0], np.int16), (3, 1))
    np.testing.assert_array_equal(apply_views(images, views), images)


def test_views_keep_to_the_padding_and_reach_it() -> None:
    views = _draw()
    assert views.shape == (50, 6, 5)
    assert views.dtype == np.int16
    for column in (0, 1):
        assert (views[..., column].min(), views[..., column].max()) == (-2, 2)
    assert (views[..., 2:4] == (5, 7)).all()
    assert set(np.unique(views[..., 4])) == {0, 1}


def test_every_view_is_drawn_for_its_own_sample() -> None:
    views = _draw()
    for view in range(views.shape[1]):
        assert len(np.unique(views[:, view], axis=0)) > 20
    assert len(np.unique(views[0], axis=0)) > 1


def test_without_flip_no_view_is_mirrored() -> None:
    assert not _draw(flip=False)[..., 4].any()


def test_the_same_seed_draws_the_same_views_and_another_others() -> None:
    np.testing.assert_array_equal(_draw(seed=3), _draw(seed=3))
    assert (_draw(seed=3) != _draw(seed=4)).any()


@pytest.mark.parametrize("bad", [{"n_views": 0}, {"padding": -1}])
def test_impossible_draws_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="n_views must be at least 1 and padding at least 0"):
        _draw(**bad)


def test_a_box_of_another_size_than_the_image_is_refused() -> None:
    images = np.zeros((1, 1, 5, 7), np.uint8)
    with pytest.raises(ValueError, match="as large as the image, 5 x 7"):
        apply_views(images, np.array([[0, 0, 4, 7, 0]], np.int16))


def test_one_view_an_image_is_required() -> None:
    with pytest.raises(ValueError, match="one per image"):
        apply_views(np.zeros((2, 1, 5, 7), np.uint8), np.array([[0, 0, 5, 7, 0]], np.int16))
