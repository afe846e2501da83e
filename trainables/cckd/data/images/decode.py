"""From a file, or from decoded bytes in memory, to the pixels of a view. One code serves both, so both agree.

This module imports torch; no module that the driver imports at start-up may import it.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from trainables.cckd.data.images.decoded_images import ImageSource, RaggedImages
from trainables.cckd.errors import DataError


def read_views(
    source: ImageSource,
    indices: NDArray[np.int64],
    views: NDArray[np.int16],
    size: int,
    *,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Cut out one view of each image and bring it to `size` x `size` pixels.

    An image that occurs several times in a row is decoded once. The resizing is bilinear, with antialiasing where it
    shrinks, as in torchvision's v2 `resized_crop` on bytes. Numpy copies the pixels, so that a decoder occupies one
    core whatever torch's number of threads.

    Args:
        source: where the images are.
        indices: image indices, (n,).
        views: int16 (n, 5), boxes inside the images, columns as in views.COLUMNS.
        size: side of the result, pixels.
        out: uint8 (n, size, size, 3), memory for the pixels; None for new memory.

    Returns:
        uint8 (n, 3, size, size), in memory channels last.

    Raises:
        DataError: a file that cannot be decoded, or that has another size than when it was scanned.
    """
    pixels = np.empty((len(indices), size, size, 3), np.uint8) if out is None else out
    held: int | None = None
    for row, (index, view) in enumerate(zip(indices.tolist(), views.tolist(), strict=True)):
        top, left, height, width, flip = view
        if index != held:
            image, held = read_image(source, index), index
        box = image[top : top + height, left : left + width]
        assert box.shape == (height, width, 3), f"box {view} leaves an image of {image.shape}"
        # torch has no read-only tensors, and the arrays of Ray's object store are read-only: they need a copy.
        planes = torch.from_numpy(box if box.flags.writeable else box.copy()).permute(2, 0, 1)[None]
        resized = interpolate(planes, (size, size), mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
        pixels[row] = resized[:, ::-1] if flip else resized
    return pixels.transpose(0, 3, 1, 2)


def read_image(source: ImageSource, index: int) -> NDArray[np.uint8]:
    """Return one whole image in colour, uint8 (H, W, 3); EXIF rotation is not applied.

    Raises:
        DataError: a file that cannot be decoded, or that has another size than when it was scanned.
    """
    if isinstance(source, RaggedImages):
        return source.image(index)
    from torchvision.io import ImageReadMode, decode_image  # takes seconds; only image files need it

    path = source.root / source.paths[index]
    try:
        decoded = decode_image(torch.from_numpy(np.fromfile(path, np.uint8)), ImageReadMode.RGB)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} cannot be read as an image: {reason}") from error
    pixels = decoded.permute(1, 2, 0).numpy()
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.shape[:2] != tuple(source.sizes[index].tolist()):
        (height, width), (found_height, found_width) = source.sizes[index].tolist(), pixels.shape[:2]
        raise DataError(f"{path} was {height} x {width} pixels when it was scanned; now {found_height} x {found_width}")
    return pixels
