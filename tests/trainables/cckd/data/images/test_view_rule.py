"""One rule draws the views of the pool and fresh ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainables.cckd.data.images.crops import draw_crops
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.view_rule import ViewRule
from trainables.cckd.data.images.views import draw_views

IMAGES = np.zeros((7, 1, 5, 6), np.uint8)


def test_the_views_of_a_pool_are_those_of_the_plain_functions(image_files: ImageFiles) -> None:
    def pool(n_images: int) -> np.ndarray:
        return np.arange(n_images)[:, None].repeat(4, axis=1)

    shifts = ViewRule(padding=2).draw(IMAGES, pool(7), seed=3)
    np.testing.assert_array_equal(shifts, draw_views(7, 4, padding=2, flip=True, height=5, width=6, seed=3))
    crops = ViewRule(crop_scale=0.5, flip=False).draw(image_files, pool(42), seed=3)
    np.testing.assert_array_equal(crops, draw_crops(image_files.sizes, 4, smallest=0.5, flip=False, seed=3))


@given(st.integers(0, 3), st.booleans(), st.integers(0, 2**63 - 1))
def test_a_shift_stays_within_the_padding(padding: int, flip: bool, seed: int) -> None:
    members = np.random.default_rng(0).integers(7, size=(2, 9))
    views = ViewRule(padding, flip).draw(IMAGES, members, seed=seed)
    assert views.shape == (2, 9, 5)
    assert np.abs(views[..., :2]).max() <= padding
    assert (views[..., 2:4] == (5, 6)).all()
    assert flip or not views[..., 4].any()


def test_a_crop_lies_in_its_own_image_and_an_image_that_occurs_twice_gets_two(image_files: ImageFiles) -> None:
    members = np.array([[5, 5, 5], [17, 3, 41]])
    views = ViewRule().draw(image_files, members, seed=0).astype(int)
    ends = views[..., :2] + views[..., 2:4]
    assert (views[..., :2] >= 0).all()
    assert (ends <= image_files.sizes[members]).all()
    assert len({tuple(view) for view in views[0]}) == 3
