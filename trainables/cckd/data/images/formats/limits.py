"""What no study can use: the error that says so, and the largest image that is read."""

#: A view's box is stored in 16 bits with a sign.
LARGEST_SIDE = 2**15 - 1

#: Most pixels of an image. Decoded in colour it takes 256 MiB, once for each process that decodes. Pillow warns from
#: the same number on.
LARGEST_AREA = 2**28 // 3

#: Most bytes of a file, which is read whole.
LARGEST_FILE = 2**29


class UnusableImageError(ValueError):
    """A file that no study can use; the message gives the reason in a few words."""


def require_size(height: int, width: int) -> None:
    """Refuse a size that no study can use.

    Raises:
        UnusableImageError: a side is 0 or above LARGEST_SIDE, or the area is above LARGEST_AREA.
    """
    if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
        raise UnusableImageError(f"{height} x {width} pixels; a side must be 1 to {LARGEST_SIDE}")
    if height * width > LARGEST_AREA:
        raise UnusableImageError(f"{height} x {width} pixels; an image must have at most {LARGEST_AREA} pixels")
