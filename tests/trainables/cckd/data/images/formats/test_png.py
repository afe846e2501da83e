"""What the scan says of PNG files of every kind, interlaced or not."""

import io
import zlib
from itertools import product

import numpy as np
import pytest
from PIL import Image

from tests.support.damaged_images import KINDS, encoded, flipped, png_chunk, png_of
from trainables.cckd.data.images.formats import png
from trainables.cckd.data.images.formats.limits import UnusableImageError

LEGAL = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def _rows(height: int, width: int, bits: int, interlaced: bool) -> bytes:
    """Rows of zeros by the standard's own description of the passes: pixel by pixel, not by a formula."""
    if not interlaced:
        return bytes(height * (1 + (width * bits + 7) // 8))
    adam7 = [
        "16462646", "77777777", "56565656", "77777777", "36463646", "77777777", "56565656", "77777777",
    ]  # fmt: skip
    out = b""
    for number in "1234567":
        for row in range(height):
            columns = sum(adam7[row % 8][column % 8] == number for column in range(width))
            out += bytes(1 + (columns * bits + 7) // 8) if columns else b""
    return out


@pytest.mark.parametrize(("colour", "bits"), [(colour, bits) for colour in LEGAL for bits in LEGAL[colour]])
@pytest.mark.parametrize("interlace", [0, 1])
def test_the_pixels_of_every_kind_have_the_standards_length(colour: int, bits: int, interlace: int) -> None:
    palette = png_chunk(b"PLTE", bytes(range(6))) if colour == 3 else b""
    for height, width in product((1, 3, 8, 13), (1, 2, 9, 16)):
        rows = _rows(height, width, bits * CHANNELS[colour], bool(interlace))
        kind = {"bits": bits, "colour": colour, "interlace": interlace, "between": palette}
        content = png_of(height, width, zlib.compress(rows), **kind)
        assert png.check(content) == png.size(content) == (height, width)
        with Image.open(io.BytesIO(png.essential(content))) as image:
            assert not np.asarray(image).any()
        for wrong in (rows[:-1], rows + b"\0"):
            with pytest.raises(UnusableImageError, match="its pixels decompress to"):
                png.check(png_of(height, width, zlib.compress(wrong), **kind))


@pytest.mark.parametrize(("colour", "bits"), [(0, 3), (2, 4), (3, 16), (4, 4), (5, 8), (7, 8)])
def test_a_kind_that_the_standard_does_not_have_is_refused(colour: int, bits: int) -> None:
    with pytest.raises(UnusableImageError, match="its header names no kind of PNG"):
        png.check(png_of(2, 2, zlib.compress(bytes(99)), colour=colour, bits=bits))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "png" in kind])
def test_one_flipped_bit_anywhere_is_seen(kind: str) -> None:
    content = encoded(kind, 9, 11)
    assert png.check(content) == (9, 11)
    for at in range(8, len(content)):
        with pytest.raises(UnusableImageError):
            png.check(flipped(content, at, at % 8))


def test_pixels_of_several_pieces_and_chunks_are_counted_to_the_last_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "_PIECE", 100)
    rows = np.random.default_rng(0).integers(0, 256, (50, 31), dtype=np.uint8)
    rows[:, 0] = np.arange(50) % 5
    pixels = zlib.compress(rows.tobytes())
    cut = png_chunk(b"IDAT", pixels[:200]) + png_chunk(b"IDAT", b"") + png_chunk(b"IDAT", pixels[200:300])
    content = png_of(50, 10, pixels[300:], between=cut)
    assert png.check(content) == (50, 10)
    rows[37, 0] = 5
    with pytest.raises(UnusableImageError, match="unknown filter"):
        png.check(png_of(50, 10, zlib.compress(rows.tobytes())))


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (png_chunk(b"IHDR", bytes(13)), "IHDR is out of order"),
        (png_chunk(b"PLTE", bytes(3)) * 2, "PLTE is out of order"),
        (png_chunk(b"IDAT", b"") + png_chunk(b"PLTE", bytes(3)), "PLTE is out of order"),
        (png_chunk(b"IDAT", b"") + png_chunk(b"tEXt", b"a\0"), "IDAT is out of order"),
        (png_chunk(b"PLTE", bytes(4)), "its palette has 4 bytes"),
        (png_chunk(b"CgBI", bytes(4)), "an unknown chunk b'CgBI'"),
        (flipped(png_chunk(b"tEXt", b"a\0b"), 9), "a checksum is wrong"),
    ],
)
def test_chunks_out_of_order_are_named(between: bytes, reason: str) -> None:
    with pytest.raises(UnusableImageError, match=reason):
        png.check(png_of(1, 1, zlib.compress(bytes(4)), between=between))


def test_what_no_decoder_needs_is_left_out() -> None:
    text = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**22))) + png_chunk(b"tRNS", bytes(6))
    content = png_of(1, 1, zlib.compress(bytes(4)), between=text)
    assert png.essential(content) == png_of(1, 1, zlib.compress(bytes(4)))
    assert png.essential(content + b"behind the end") == png.essential(content)


def test_a_small_file_that_decompresses_without_end_takes_no_memory() -> None:
    stream = zlib.compress(bytes(2**26))
    with pytest.raises(UnusableImageError, match="should be 610"):
        png.check(png_of(10, 20, stream))
