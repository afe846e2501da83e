"""Views of images of any size: boxes in pixels of the source, which become the student's square input.

Training views are random resized crops (Szegedy et al., arXiv 1409.4842). Evaluation views are the centre that "resize
the shorter side to 256, cut out 224" leaves. Both are stored as boxes, so that they can be read at any size.
"""

from math import log

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.data.images.views import COLUMNS
from trainables.cckd.errors import DataError

#: Range of width over height of a training box, which is drawn evenly on a logarithmic scale.
ASPECT = (3 / 4, 4 / 3)

#: Smallest share of the image's area that a training box covers. The usual 0.08 is meant for 90 epochs and more.
CROP_SCALE = 0.25

#: Side of an evaluation box as a share of the shorter side.
CENTRE_SHARE = 224 / 256

_TRIES = 10
_LARGEST = np.iinfo(np.int16).max


def draw_crops(
    sizes: NDArray[np.int32], n_views: int, *, smallest: float = CROP_SCALE, flip: bool, seed: int
) -> NDArray[np.int16]:
    """Draw V random resized crops of each of N images.

    The area of a box is drawn evenly from `smallest` to 1 times the image's area, its aspect from ASPECT. A box that
    does not fit is drawn again; after ten misses the largest central box of a legal aspect is taken.

    Args:
        sizes: height and width of the images, pixels, (N, 2).
        n_views: V.
        smallest: least share of the area, above 0, at most 1.
        flip: whether a view may be mirrored.
        seed: any non-negative integer.

    Returns:
        int16 (N, V, 5), columns as in views.COLUMNS; every box lies inside its image.

    Raises:
        ValueError: fewer than one view, or `smallest` out of range.
        DataError: an image with a side beyond 32,767 pixels.
    """
    if n_views < 1 or not 0 < smallest <= 1:
        raise ValueError(f"n_views must be at least 1 and smallest in (0, 1]; got {n_views} and {smallest}")
    _require_storable(sizes)
    rng = np.random.default_rng(seed)
    bounds = np.repeat(sizes.astype(np.int64), n_views, axis=0)  # (N V, 2)
    boxes = _largest_boxes(bounds)
    waiting = np.arange(len(bounds))
    for _ in range(_TRIES):
        height, width = bounds[waiting].T
        area = rng.uniform(smallest, 1, len(waiting)) * height * width
        aspect = np.exp(rng.uniform(log(ASPECT[0]), log(ASPECT[1]), len(waiting)))
        drawn = np.rint(np.sqrt([area / aspect, area * aspect])).astype(np.int64).T.clip(1)  # height, width
        fits = (drawn <= bounds[waiting]).all(axis=1)
        boxes[waiting[fits]] = drawn[fits]
        waiting = waiting[~fits]
        if fits.all():
            break
    corners = rng.integers(0, bounds - boxes, endpoint=True)
    corners[waiting] = (bounds - boxes)[waiting] // 2
    mirrored = rng.integers(0, 2, (len(bounds), 1)) if flip else np.zeros((len(bounds), 1), np.int64)
    views = np.concatenate([corners, boxes, mirrored], axis=1)
    return views.astype(np.int16).reshape(len(sizes), n_views, len(COLUMNS))


def centre_views(sizes: NDArray[np.int32]) -> NDArray[np.int16]:
    """Return the evaluation view of each image: a central square of CENTRE_SHARE of the shorter side, int16 (N, 5).

    Raises:
        DataError: an image with a side beyond 32,767 pixels.
    """
    _require_storable(sizes)
    side = np.rint(CENTRE_SHARE * sizes.min(axis=1, keepdims=True)).astype(np.int64).clip(1)
    corners = (sizes - side) // 2
    return np.concatenate([corners, side, side, np.zeros_like(side)], axis=1).astype(np.int16)


def _largest_boxes(bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return height and width of the largest box within `bounds` that has a legal aspect."""
    height, width = bounds.T
    narrow, wide = ASPECT
    return np.stack(
        [
            np.minimum(height, np.rint(width / narrow)).astype(np.int64),
            np.minimum(width, np.rint(height * wide)).astype(np.int64),
        ],
        axis=1,
    ).clip(1)


def _require_storable(sizes: NDArray[np.int32]) -> None:
    if sizes.size and not (sizes.min() >= 1 and sizes.max() <= _LARGEST):
        found = sizes[((sizes < 1) | (sizes > _LARGEST)).any(axis=1)][0]
        raise DataError(f"an image must have sides of 1 to {_LARGEST} pixels; got {found[0]} x {found[1]}")
