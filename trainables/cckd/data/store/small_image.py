"""From an image to its small file in a store: the size, the encoding, and the seal by which damage is seen.

Small images are in colour, shrunk by Pillow's antialiased bicubic filter, JPEG of quality 95 without chroma
subsampling. docs/decisions.md says why. EXIF blocks and colour profiles are left out.

The seal is a comment of the JPEG file: a hash of all bytes around it, keyed by the name of the file. Compressed pixels
have no checksum of their own, and decoders turn most damage in them into wrong pixels without an error.
"""

import hashlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

#: Increase it when the code makes other pixels of the same originals: the store gets another folder.
RECIPE = 1

QUALITY = 95
_NO_SUBSAMPLING = 0

#: The comment: marker, length of what follows, a word that says what it is, and the hash.
_WORD = b"cckd image store "
_DIGEST = 16
_MARKER = b"\xff\xfe" + (2 + len(_WORD) + _DIGEST).to_bytes(2) + _WORD


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


def small_image(pixels: NDArray[np.uint8], size: tuple[int, int], name: bytes) -> bytes:
    """Return the small file of an image.

    Args:
        pixels: the original, uint8 (H, W, 3).
        size: height and width of the small image.
        name: keys the seal; at most 64 bytes.
    """
    from PIL import Image  # only image files need it

    height, width = size
    shrunk = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    written = BytesIO()
    shrunk.save(written, "JPEG", quality=QUALITY, subsampling=_NO_SUBSAMPLING)
    content = written.getvalue()
    at = _behind_first_segment(content)
    return content[:at] + _MARKER + _digest(content, name) + content[at:]


def is_whole(content: bytes, name: bytes) -> bool:
    """Whether a file is the small image of this name, to the last bit."""
    at = _behind_first_segment(content)
    seal = at + len(_MARKER)
    end = seal + _DIGEST
    return content[at:seal] == _MARKER and content[seal:end] == _digest(content[:at] + content[end:], name)


def _behind_first_segment(content: bytes) -> int:
    """Return where the first segment of a JPEG file ends: JFIF's, which readers expect to be the first."""
    return 4 + int.from_bytes(content[4:6])


def _digest(content: bytes, name: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST, key=name).digest()
