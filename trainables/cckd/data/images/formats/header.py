"""Size and mark of an image file, read without decoding: the whole file is checked for what decoders crash on.

Pillow would parse the EXIF block of every photograph too, which takes longer than the whole check here.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trainables.cckd.data.images.formats import jpeg, png, webp
from trainables.cckd.data.images.formats.limits import LARGEST_FILE, UnusableImageError

_EDGE = 4096  # bytes at either end of a file that its mark covers


@dataclass(frozen=True)
class Header:
    """Height and width in pixels, and `mark`: 64 bits over the file's length, first and last 4 KB.

    A file that is rewritten gets another mark. A change in the middle of a file that keeps its length does not show.
    """

    height: int
    width: int
    mark: int


class Format(NamedTuple):
    """A format: its name, `size` (height and width as the header states them) and `check` (of the whole file).

    Both take the bytes of a file, return (height, width) and raise UnusableImageError.
    """

    name: str
    size: Callable[[bytes], tuple[int, int]]
    check: Callable[[bytes], tuple[int, int]]


JPEG = Format("JPEG", jpeg.size, jpeg.check)
PNG = Format("PNG", png.size, png.check)
WEBP = Format("WebP", webp.size, webp.check)


def format_of(content: bytes) -> Format:
    """Return the format of a file's bytes, by their beginning.

    Raises:
        UnusableImageError: none of ours.
    """
    if content.startswith(jpeg.START):
        return JPEG
    if content.startswith(png.START):
        return PNG
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return WEBP
    raise UnusableImageError("not a JPEG, PNG or WebP image")


def read_header(path: Path) -> Header:
    """Read an image file and check it.

    Raises:
        UnusableImageError: the file is missing, unreadable, damaged, no image, or too large.
    """
    content = read_content(path)
    height, width = format_of(content).check(content)
    return Header(height, width, mark_of(content))


def mark_of(content: bytes) -> int:
    """Return the mark of a file's bytes, as in `Header`."""
    edges = content[:_EDGE] + content[max(0, len(content) - _EDGE) :]
    digest = hashlib.blake2b(len(content).to_bytes(8, "little") + edges, digest_size=8).digest()
    return int.from_bytes(digest, "little")


def read_content(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises:
        UnusableImageError: the file is missing, unreadable, empty, no file, or too large.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in a data folder must not block the scan
    except FileNotFoundError:
        raise UnusableImageError("missing") from None
    except (OSError, ValueError) as error:  # a ValueError for a null byte in the name
        raise UnusableImageError(f"cannot be read ({getattr(error, 'strerror', error)})") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableImageError("not a file")
        if status.st_size > LARGEST_FILE:
            raise UnusableImageError(f"{status.st_size} bytes; a file must have at most {LARGEST_FILE}")
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            content = file.readall()
    except OSError as error:
        raise UnusableImageError(f"cannot be read ({error.strerror})") from None
    finally:
        os.close(descriptor)
    if not content:
        raise UnusableImageError("empty")
    return content
