"""Augmented views of training images: drawn once per study, stored as boxes, applied where they are needed.

Every view is drawn for its own sample. One shift for a whole epoch cost 7 to 12 points on digits, because BatchNorm's
running statistics follow the shift of the last epochs.
"""

import numpy as np
from numpy.typing import NDArray

#: Columns of a view: top and left edge (pixels of the image, negative where the box begins outside it),
#: height and width of the box, and 1 where the view is mirrored left to right. Outside the image is zero.
COLUMNS = ("top", "left", "height", "width", "flip")


def draw_views(
    n_images: int, n_views: int, *, padding: int, flip: bool, height: int, width: int, seed: int
) -> NDArray[np.int16]:
    """Draw V views of each of N images: a shift of up to `padding` pixels each way, and a mirror or not.

    Args:
        n_images: N.
        n_views: V.
        padding: largest shift, pixels.
        flip: whether a view may be mirrored.
        height, width: of the images, pixels.
        seed: any non-negative integer.

    Returns:
        int16 (N, V, 5), columns as in COLUMNS.

    Raises:
        ValueError: fewer than one view, or a negative padding.
    """
    if n_views < 1 or padding < 0:
        raise ValueError(f"n_views must be at least 1 and padding at least 0; got {n_views} and {padding}")
    rng = np.random.default_rng(seed)
    views = np.empty((n_images, n_views, len(COLUMNS)), np.int16)
    views[..., :2] = rng.integers(-padding, padding, size=(n_images, n_views, 2), endpoint=True)
    views[..., 2], views[..., 3] = height, width
    views[..., 4] = rng.integers(0, 2, size=(n_images, n_views)) if flip else 0
    return views


def apply_views(images: NDArray[np.uint8], views: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Cut out and mirror one view per image.

    Args:
        images: uint8 (N, Ch, H, W).
        views: int16 (N, 5).

    Returns:
        uint8 (N, Ch, H, W).

    Raises:
        ValueError: a box that is not as large as the image.
    """
    n_images, _, height, width = images.shape
    if views.shape != (n_images, len(COLUMNS)):
        raise ValueError(f"views must be ({n_images}, {len(COLUMNS)}), one per image; got {views.shape}")
    if not (views[:, 2:4] == (height, width)).all():
        raise ValueError(f"a view's box must be as large as the image, {height} x {width}")
    box = views.astype(np.int64)
    across = np.arange(width)
    rows = box[:, 0, None] + np.arange(height)  # (N, H)
    columns = box[:, 1, None] + np.where(box[:, 4, None] == 1, across[::-1], across)  # (N, W)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    cut_out = images[
        np.arange(n_images)[:, None, None],
        :,
        rows.clip(0, height - 1)[:, :, None],
        columns.clip(0, width - 1)[:, None, :],
    ]  # (N, H, W, Ch): the indexed axes come first
    return np.ascontiguousarray((cut_out * inside[..., None]).transpose(0, 3, 1, 2))
