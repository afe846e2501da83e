"""From an image to its small file in a store: the size and the encoding.

Small images are in colour, shrunk by Pillow's antialiased bicubic filter, JPEG of quality 95 without chroma
subsampling. docs/decisions.md says why. EXIF blocks and colour profiles are left out.
"""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.data.images.formats.seal import sealed

#: Increase it when the code makes other pixels of the same originals: the store gets another folder.
RECIPE = 1

QUALITY = 95
_NO_SUBSAMPLING = 0


def small_sizes(sizes: NDArray[np.int32], shorter: int) -> NDArray[np.int32]:
    """Return the sizes that images have in a store: the shorter side is `shorter` pixels, the aspect stays.

    Args:
        sizes: height and width, (N, 2).
        shorter: pixels. Images whose shorter side has no more keep their size.

    Returns:
        int32 (N, 2).
    """
    least = sizes.min(axis=1, keepdims=True, initial=np.iinfo(np.int32).max)
    shrunk = np.rint(sizes * (shorter / np.maximum(least, 1))).astype(np.int32)
    return np.where(least > shorter, shrunk, sizes).astype(np.int32)


def shrunk(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the pixels of a small image before it is encoded, uint8 (h, w, 3); arguments as for `small_image`."""
    from PIL import Image  # only image files need it

    height, width = size
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def small_image(pixels: NDArray[np.uint8], size: tuple[int, int], name: str) -> bytes:
    """Return the small file of an image, sealed.

    Args:
        pixels: the original, uint8 (H, W, 3).
        size: height and width of the small image.
        name: of the file.
    """
    from PIL import Image

    written = BytesIO()
    Image.fromarray(shrunk(pixels, size)).save(written, "JPEG", quality=QUALITY, subsampling=_NO_SUBSAMPLING)
    return sealed(written.getvalue(), name)
