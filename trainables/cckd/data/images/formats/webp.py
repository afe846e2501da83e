"""WebP files (RFC 9649): the chunks of a still image, and the size that the compressed image states."""

from trainables.cckd.data.images.formats.limits import UnusableImageError, require_size

#: Flag of an extended file that holds an animation.
_ANIMATED = 0x02
_TORN = "torn: its end is missing"


def size(content: bytes) -> tuple[int, int]:
    """Return height and width as the first chunk states them.

    Raises:
        UnusableImageError: the file ends within its header, is no still image, or no study can use its size.
    """
    head = content[:30]
    if len(head) < 30:
        raise UnusableImageError(_TORN)
    kind = head[12:16]
    if kind == b"VP8X":
        if head[20] & _ANIMATED:
            raise UnusableImageError("a WebP file that is no still image")
        height, width = int.from_bytes(head[27:30], "little") + 1, int.from_bytes(head[24:27], "little") + 1
    else:
        height, width = _image_size(kind, head[20:])
    require_size(height, width)
    return height, width


def check(content: bytes) -> tuple[int, int]:
    """Check that every chunk lies within the file, and that an image of the stated size follows; return that size.

    Raises:
        UnusableImageError: says what is damaged.
    """
    height, width = size(content)
    end = int.from_bytes(content[4:8], "little") + 8
    if end > len(content):
        raise UnusableImageError(_TORN)
    offset, found = 12, None
    while offset + 8 <= end:
        kind, length = content[offset : offset + 4], int.from_bytes(content[offset + 4 : offset + 8], "little")
        offset += 8
        if offset + length > end:
            raise UnusableImageError(_TORN)
        if kind in (b"VP8 ", b"VP8L") and found is None:
            found = _image_size(kind, content[offset : offset + length])
        offset += length + length % 2
    if found != (height, width):
        raise UnusableImageError("damaged: it holds no image of the size that it states")
    return height, width


def _image_size(kind: bytes, data: bytes) -> tuple[int, int]:
    """Return height and width of compressed pixels; a lossy image must be a key frame that is shown and whole."""
    if kind == b"VP8 " and len(data) >= 10 and data[3:6] == b"\x9d\x01\x2a":
        tag = int.from_bytes(data[:3], "little")
        if tag & 1 or not tag >> 4 & 1 or tag >> 1 & 7 > 3:
            raise UnusableImageError("damaged: it begins with no key frame")
        return int.from_bytes(data[8:10], "little") & 0x3FFF, int.from_bytes(data[6:8], "little") & 0x3FFF
    if kind == b"VP8L" and len(data) >= 5 and data[0] == 0x2F:
        bits = int.from_bytes(data[1:5], "little")
        if bits >> 29:
            raise UnusableImageError("damaged: it is of an unknown version")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    raise UnusableImageError("a WebP file that is no still image")
