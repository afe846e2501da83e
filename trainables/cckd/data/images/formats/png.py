"""PNG files (ISO/IEC 15948): chunks in order, their checksums, and the compressed pixels.

libpng, through torchvision, ended the process by a signal on 1,348 of 3,000 damaged files; Pillow raises errors.
"""

import zlib
from collections.abc import Iterator

from trainables.cckd.data.images.formats.limits import UnusableImageError, require_size

START = b"\x89PNG\r\n\x1a\n"

#: The chunks that hold the pixels; all others (texts, colour profiles, times) are left out before decoding.
_ESSENTIAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
#: Colour type -> channels and legal bits per channel.
_COLOURS = {0: (1, (1, 2, 4, 8, 16)), 2: (3, (8, 16)), 3: (1, (1, 2, 4, 8)), 4: (2, (8, 16)), 6: (4, (8, 16))}
_PALETTE = 3
#: First column, first row, and steps between columns and rows of Adam7's seven passes.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 2**20  # decompressed bytes that are held at a time
_LARGEST_FILTER = 4


def size(content: bytes) -> tuple[int, int]:
    """Return height and width as the header states them.

    Raises:
        UnusableImageError: there is no header, or no study can use its size.
    """
    sides = content[16:24]
    if content[12:16] != b"IHDR" or len(sides) < 8:
        raise UnusableImageError("torn: it states no size")
    height, width = int.from_bytes(sides[4:]), int.from_bytes(sides[:4])
    require_size(height, width)
    return height, width


def check(content: bytes) -> tuple[int, int]:
    """Check the whole file; return height and width.

    Every checksum must be right, the essential chunks must stand in order, and the pixels must decompress to as many
    bytes as the header promises, each row with a known filter.

    Raises:
        UnusableImageError: says what is damaged.
    """
    height, width = size(content)
    colour = content[25] if len(content) > 25 else -1
    pixels: list[memoryview] = []
    has_palette, ended_pixels = False, False
    for number, (kind, data) in enumerate(chunks(content)):
        if number == 0:
            _require_header(kind, data)
        elif kind == b"IHDR" or (kind == b"PLTE" and (pixels or has_palette)) or (kind == b"IDAT" and ended_pixels):
            raise UnusableImageError(f"damaged: its chunk {kind.decode()} is out of order")
        if kind == b"PLTE":
            has_palette = True
            if not 0 < len(data) <= 3 * 256 or len(data) % 3:
                raise UnusableImageError(f"damaged: its palette has {len(data)} bytes")
        elif kind == b"IDAT":
            pixels.append(data)
        elif pixels:
            ended_pixels = True
    if colour == _PALETTE and not has_palette:
        raise UnusableImageError("damaged: it has no palette")
    _require_pixels(pixels, _passes(content, height, width))
    return height, width


def essential(content: bytes) -> bytes:
    """Return the file without the chunks that no decoder needs, so that none of them can fail or warn.

    Raises:
        UnusableImageError: as `chunks`.
    """
    kept = [START]
    for kind, data in chunks(content):
        if kind in _ESSENTIAL:
            kept += [len(data).to_bytes(4), kind, bytes(data), zlib.crc32(data, zlib.crc32(kind)).to_bytes(4)]
    return b"".join(kept)


def chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield kind and data of every chunk up to IEND; what stands behind it is ignored.

    Raises:
        UnusableImageError: the file ends before IEND, a checksum is wrong, or a chunk is unknown and essential.
    """
    whole, offset = memoryview(content), len(START)
    while True:
        length, kind = int.from_bytes(content[offset : offset + 4]), content[offset + 4 : offset + 8]
        end = offset + 8 + length
        if end + 4 > len(content):
            raise UnusableImageError("torn: its end is missing")
        data = whole[offset + 8 : end]
        if zlib.crc32(data, zlib.crc32(kind)) != int.from_bytes(content[end : end + 4]):
            raise UnusableImageError("damaged: a checksum is wrong")
        if kind not in _ESSENTIAL and not kind[0] & 0x20:  # an upper-case letter: no decoder may leave it out
            raise UnusableImageError(f"damaged: an unknown chunk {bytes(kind)!r}")
        yield kind, data
        if kind == b"IEND":
            return
        offset = end + 4


def _require_header(kind: bytes, data: memoryview) -> None:
    if kind != b"IHDR" or len(data) != 13:
        raise UnusableImageError("torn: it states no size")
    bits, colour, compression, filters, interlace = data[8:]
    if bits not in _COLOURS.get(colour, (0, ()))[1] or compression or filters or interlace > 1:
        raise UnusableImageError("damaged: its header names no kind of PNG")


def _passes(content: bytes, height: int, width: int) -> list[tuple[int, int]]:
    """Return rows and bytes per row, filter byte included, of each pass; one pass where pixels are not interlaced."""
    bits, colour, interlace = content[24], content[25], content[28]
    bits *= _COLOURS[colour][0]
    passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
    sides = [(-(-(height - top) // down), -(-(width - left) // across)) for left, top, across, down in passes]
    return [(rows, 1 + (columns * bits + 7) // 8) for rows, columns in sides if rows > 0 and columns > 0]


def _require_pixels(pixels: list[memoryview], passes: list[tuple[int, int]]) -> None:
    """Decompress the pixels piece by piece, so that a small file cannot fill the memory; compare rows and filters."""
    wanted = sum(rows * row_bytes for rows, row_bytes in passes)
    stride = passes[0][1] if len(passes) == 1 else 0  # filters of interlaced rows are left to the decoder
    found = 0
    inflater = zlib.decompressobj()
    try:
        for data in pixels:
            rest: bytes | memoryview = data
            while not inflater.eof and found <= wanted:
                piece = inflater.decompress(rest, _PIECE)
                rest = inflater.unconsumed_tail
                if not piece and not rest:
                    break
                filters = piece[-found % stride :: stride] if stride else b""
                if filters and max(filters) > _LARGEST_FILTER:
                    raise UnusableImageError("damaged: a row has an unknown filter")
                found += len(piece)
    except zlib.error:
        raise UnusableImageError("damaged: its pixels cannot be decompressed") from None
    if found != wanted or not inflater.eof:
        raise UnusableImageError(f"damaged: its pixels decompress to {found} bytes or more; they should be {wanted}")
