import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from torchvision.transforms import RandomResizedCrop

from trainables.cckd.data.images.crops import ASPECT, centre_views, draw_crops
from trainables.cckd.errors import DataError

SIZES = np.array([[480, 640], [640, 480], [333, 333], [90, 1000], [1, 1]], np.int32)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 32767), st.integers(1, 32767)), min_size=1, max_size=8),
    smallest=st.floats(0.01, 1),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60)
def test_every_box_lies_inside_its_image(sizes: list[tuple[int, int]], smallest: float, seed: int) -> None:
    bounds = np.array(sizes, np.int32)
    for views in (draw_crops(bounds, 3, smallest=smallest, flip=True, seed=seed), centre_views(bounds)[:, None]):
        top, left, height, width, flip = np.moveaxis(views.astype(np.int64), -1, 0)
        assert min(top.min(), left.min(), flip.min()) >= 0
        assert min(height.min(), width.min()) >= 1
        assert (top + height <= bounds[:, None, 0]).all()
        assert (left + width <= bounds[:, None, 1]).all()
        assert flip.max() <= 1


@pytest.mark.parametrize(("height", "width"), [(400, 400), (300, 500)])
def test_boxes_are_distributed_as_torchvisions(height: int, width: int) -> None:
    ours = draw_crops(np.full((1000, 2), (height, width), np.int32), 2, smallest=0.25, flip=True, seed=0)
    ours = ours.reshape(-1, 5).astype(float)
    image = torch.empty(3, height, width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = np.array([RandomResizedCrop.get_params(image, [0.25, 1], list(ASPECT)) for _ in range(2000)], float)
    for what in (lambda box: box[:, 2] * box[:, 3], lambda box: box[:, 3] / box[:, 2], lambda box: box[:, 0]):
        assert ks_2samp(what(ours), what(theirs)).pvalue > 0.01
    assert ours[:, 4].mean() == pytest.approx(0.5, abs=0.05)


def test_views_differ_from_image_to_image_and_come_from_the_seed() -> None:
    same_size = np.full((50, 2), 300, np.int32)
    views = draw_crops(same_size, 2, flip=True, seed=1)
    assert len(np.unique(views.reshape(-1, 5), axis=0)) == 100
    np.testing.assert_array_equal(views, draw_crops(same_size, 2, flip=True, seed=1))
    assert not np.array_equal(views, draw_crops(same_size, 2, flip=True, seed=2))
    assert draw_crops(same_size, 2, flip=False, seed=1)[..., 4].max() == 0


def test_a_box_that_never_fits_becomes_the_largest_central_one() -> None:
    # 90 x 1000: a box of at least 90 % of the area cannot have an aspect of 4/3 or less.
    view = draw_crops(SIZES[3:4], 1, smallest=0.9, flip=False, seed=0)[0, 0]
    assert view.tolist() == [0, 440, 90, 120, 0]


def test_the_evaluation_view_is_what_resizing_to_256_and_cutting_224_leaves() -> None:
    assert centre_views(np.array([[256, 512], [300, 256]], np.int32)).tolist() == [
        [16, 144, 224, 224, 0],
        [38, 16, 224, 224, 0],
    ]


def test_sides_beyond_what_a_view_can_store_are_refused() -> None:
    with pytest.raises(DataError, match="1 to 32767 pixels; got 40000 x 20"):
        draw_crops(np.array([[30, 30], [40000, 20]], np.int32), 1, flip=False, seed=0)
    with pytest.raises(DataError, match="got 0 x 0"):
        centre_views(np.zeros((1, 2), np.int32))


@pytest.mark.parametrize(("n_views", "smallest"), [(0, 0.5), (1, 0.0), (1, 1.1)])
def test_senseless_arguments_are_refused(n_views: int, smallest: float) -> None:
    with pytest.raises(ValueError, match="n_views must be at least 1"):
        draw_crops(SIZES, n_views, smallest=smallest, flip=False, seed=0)
