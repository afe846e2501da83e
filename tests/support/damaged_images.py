"""Sound image files of every kind, and files that are damaged in every way that a decoder may stumble over."""

import io
import zlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Kind -> what Pillow needs to write it.
KINDS: Mapping[str, Mapping[str, object]] = {
    "jpeg": {"format": "JPEG", "quality": 90},
    "progressive jpeg": {"format": "JPEG", "progressive": True},
    "optimised jpeg": {"format": "JPEG", "optimize": True},
    "grey jpeg": {"format": "JPEG", "mode": "L"},
    "jpeg with restarts": {"format": "JPEG", "restart_marker_blocks": 3},
    "jpeg of four colours": {"format": "JPEG", "mode": "CMYK"},
    "png": {"format": "PNG"},
    "grey png": {"format": "PNG", "mode": "L"},
    "png of two colours": {"format": "PNG", "mode": "1"},
    "png with transparency": {"format": "PNG", "mode": "RGBA"},
    "grey png with transparency": {"format": "PNG", "mode": "LA"},
    "png with a palette": {"format": "PNG", "mode": "P"},
    "png of 16 bits": {"format": "PNG", "mode": "I;16"},
    "webp": {"format": "WEBP", "quality": 80},
    "webp without loss": {"format": "WEBP", "lossless": True},
    "webp with transparency": {"format": "WEBP", "quality": 80, "mode": "RGBA"},
}


def natural(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth colours under noise, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    waves = [128 + 80 * np.sin(rows / (7 + 3 * k) + columns / (11 - 2 * k) + rng.uniform(0, 6)) for k in range(3)]
    return np.clip(np.stack(waves, axis=2) + rng.normal(0, 15, (height, width, 3)), 0, 255).astype(np.uint8)


def encoded(kind: str, height: int = 53, width: int = 71, seed: int = 0) -> bytes:
    """A sound file of one of KINDS."""
    options = dict(KINDS[kind])
    mode = str(options.pop("mode", "RGB"))
    pixels = natural(height, width, seed)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(pixels).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(pixels[..., 1]))
    content = io.BytesIO()
    image.save(content, **options)  # type: ignore[arg-type]
    return content.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG with the right checksum."""
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def png_of(
    height: int, width: int, pixels: bytes, *, bits: int = 8, colour: int = 2, interlace: int = 0, between: bytes = b""
) -> bytes:
    """A PNG with these compressed pixels, and perhaps chunks in front of them."""
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([bits, colour, 0, 0, interlace])
    chunks = png_chunk(b"IHDR", header) + between + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def sound_checksums(png: bytes) -> bytes:
    """The PNG with the checksum of each chunk computed again, as far as its chunks can be followed."""
    out, offset = bytearray(png), 8
    while offset + 12 <= len(out):
        length = int.from_bytes(out[offset : offset + 4])
        end = offset + 8 + length
        if end + 4 > len(out):
            break
        out[end : end + 4] = zlib.crc32(out[offset + 4 : end]).to_bytes(4)
        offset = end + 4
    return bytes(out)


def flipped(content: bytes, at: int, bit: int = 0) -> bytes:
    """The file with one bit flipped."""
    out = bytearray(content)
    out[at] ^= 1 << bit
    return bytes(out)


def zeroed(content: bytes, start: int, end: int) -> bytes:
    """The file with zeros from `start` to `end`."""
    return content[:start] + bytes(end - start) + content[end:]


def frame_at(jpeg: bytes) -> int:
    """Where the frame of a JPEG begins, at its marker."""
    found = [jpeg.find(bytes([0xFF, code, 0, length])) for code in (0xC0, 0xC2) for length in (11, 17, 20)]
    return min(at for at in found if at >= 0)


def pixels_at(jpeg: bytes) -> int:
    """Where the compressed pixels of a JPEG's first scan begin."""
    at = jpeg.find(b"\xff\xda")
    return at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])


def as_frame(jpeg: bytes, code: int) -> bytes:
    """The JPEG with another kind of frame."""
    at = frame_at(jpeg)
    return jpeg[: at + 1] + bytes([code]) + jpeg[at + 2 :]


def with_side(jpeg: bytes, height: int, width: int) -> bytes:
    """The JPEG with another size in its frame."""
    at = frame_at(jpeg) + 5
    return jpeg[:at] + height.to_bytes(2) + width.to_bytes(2) + jpeg[at + 4 :]


def with_sampling(jpeg: bytes, factors: int) -> bytes:
    """The JPEG with other sampling factors of its first component."""
    at = frame_at(jpeg) + 11
    return jpeg[:at] + bytes([factors]) + jpeg[at + 1 :]


def damaged() -> Iterator[tuple[str, bytes]]:
    """Yield (file name, content) of files that the scan must name."""
    png, jpeg, webp = encoded("png"), encoded("jpeg", 120, 160), encoded("webp")
    pixels = png.find(b"IDAT") + 4
    for number in range(12):
        yield f"flipped-{number}.png", flipped(png, pixels + 97 * number, number % 8)
    for part in (1, 2, 3, 5, 8):
        yield f"cut-{part}.png", png[: len(png) * part // 9]
        yield f"cut-{part}.jpg", jpeg[: len(jpeg) * part // 9]
        yield f"cut-{part}.webp", webp[: len(webp) * part // 9]
    for kind in (b"IHDR", b"IDAT", b"IEND"):
        at = png.find(kind)
        end = at + 4 + int.from_bytes(png[at - 4 : at])
        yield f"checksum-{kind.decode()}.png", flipped(png, end)
    yield "checksum-text.png", png_of(1, 1, zlib.compress(bytes(4)), between=flipped(png_chunk(b"tEXt", b"a\0b"), -1))
    yield "empty-pixels.png", png_of(30_000, 29_000, b"")
    yield "empty-stream.png", png_of(9_000, 9_000, zlib.compress(b""))
    yield "few-rows.png", png_of(20, 20, zlib.compress(bytes(61 * 19)))
    yield "many-rows.png", png_of(20, 20, zlib.compress(bytes(61 * 40_000)))
    yield "filter.png", png_of(2, 2, zlib.compress(bytes([0, *[9] * 6, 5, *[9] * 6])))
    yield "no-palette.png", png_of(2, 2, zlib.compress(bytes(6)), colour=3)
    yield "huge.png", png_of(30_000, 30_000, zlib.compress(b""))
    yield "huge.jpg", with_side(jpeg, 30_000, 30_000)
    start = pixels_at(jpeg)
    for number, (low, high) in enumerate(((0.2, 0.4), (0.3, 0.7), (0.5, 0.9), (0.45, 0.6))):
        size = len(jpeg) - start
        yield f"zeros-{number}.jpg", zeroed(jpeg, start + int(low * size), start + int(high * size))
    for code in (0xC3, 0xC5, 0xC7, 0xC9, 0xCA, 0xCB, 0xCF):
        yield f"frame-{code:02X}.jpg", as_frame(jpeg, code)
    for factors in (0x00, 0x50, 0x0F, 0xFF):
        yield f"sampling-{factors:02X}.jpg", with_sampling(jpeg, factors)
    at = frame_at(jpeg)
    yield "no-components.jpg", jpeg[: at + 3] + bytes([8, 8, 0, 9, 0, 9, 0]) + jpeg[at + 19 :]
    yield "two-frames.jpg", jpeg[:at] + jpeg[at : at + 19] + jpeg[at:]
    yield "restarts.jpg", _without_restart(encoded("jpeg with restarts", 120, 160))
    yield "marker.jpg", jpeg[: start + 400] + b"\xff\x04" + jpeg[start + 402 :]


def mutations() -> Mapping[str, Callable[[bytes, np.random.Generator], bytes]]:
    """Return random ways to damage any file, for a fuzz."""
    return {
        "bits": _some_bits,
        "header bits": lambda content, rng: _some_bits(content, rng, most=min(700, len(content))),
        "cut": lambda content, rng: content[: rng.integers(1, len(content))],
        "cut before an end": lambda content, rng: content[: rng.integers(1, len(content))] + content[-12:],
        "zeros": lambda content, rng: zeroed(content, *sorted(rng.integers(8, len(content), 2).tolist())),
        "ones": lambda content, rng: (
            zeroed(content, *(ends := sorted(rng.integers(8, len(content), 2).tolist())))[: ends[0]]
            + b"\xff" * (ends[1] - ends[0])
            + content[ends[1] :]
        ),
        "moved": _moved,
        "sound checksums": lambda content, rng: sound_checksums(_some_bits(content, rng)),
        "sound checksums, header": lambda content, rng: sound_checksums(
            _some_bits(content, rng, most=min(60, len(content)))
        ),
    }


def _some_bits(content: bytes, rng: np.random.Generator, most: int | None = None) -> bytes:
    out = bytearray(content)
    for at in rng.integers(8, most or len(content), rng.integers(1, 9)).tolist():
        out[at] ^= 1 << int(rng.integers(8))
    return bytes(out)


def _moved(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes of one place written over another, as when a file system mixes up its blocks."""
    length = int(rng.integers(1, max(2, len(content) // 3)))
    source, target = rng.integers(0, len(content) - length, 2).tolist()
    return content[:target] + content[source : source + length] + content[target + length :]


def _without_restart(jpeg: bytes) -> bytes:
    at = jpeg.find(b"\xff\xd2", pixels_at(jpeg))
    return jpeg[:at] + jpeg[at + 2 :]
