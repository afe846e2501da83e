"""What a file's header says, held against Pillow, and every way a file can be torn."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.cckd.data.images.headers import Header, UnusableImageError, read_header

FORMATS = {
    "jpeg": {"format": "JPEG"},
    "progressive": {"format": "JPEG", "progressive": True},
    "jpeg with 9 KB ahead of its size": {"format": "JPEG", "exif": b"Exif\0\0" + b"\xff\xd9" * 4500},
    "png": {"format": "PNG"},
    "webp": {"format": "WEBP", "quality": 80},
    "webp without loss": {"format": "WEBP", "lossless": True},
    "webp with transparency": {"format": "WEBP", "quality": 80, "mode": "RGBA"},
    "grey jpeg": {"format": "JPEG", "mode": "L"},
}


def _encode(kind: str, height: int = 53, width: int = 71) -> bytes:
    options = dict(FORMATS[kind])
    mode = str(options.pop("mode", "RGB"))
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, len(mode)), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels if len(mode) > 1 else pixels[..., 0]).save(content, **options)
    return content.getvalue()


def _read(folder: Path, content: bytes) -> Header:
    (folder / "image").write_bytes(content)
    return read_header(folder / "image")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("height", "width"), [(53, 71), (1, 300)])
def test_sizes_are_those_pillow_reads(tmp_path: Path, kind: str, height: int, width: int) -> None:
    content = _encode(kind, height, width)
    header = _read(tmp_path, content)
    assert (header.width, header.height) == Image.open(io.BytesIO(content)).size == (width, height)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_torn_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    content = _encode(kind)
    for length in {*range(0, 64), *range(64, len(content), 97), len(content) - 2, len(content) - 1}:
        with pytest.raises(UnusableImageError):
            _read(tmp_path, content[:length])


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_bytes_behind_the_end_do_no_harm_however_many(tmp_path: Path, kind: str) -> None:
    content = _encode(kind)
    assert _read(tmp_path, content + b"\0" * 10_000).height == 53


def test_a_thumbnails_end_is_not_the_images_end(tmp_path: Path) -> None:
    content = _encode("jpeg with 9 KB ahead of its size")
    assert b"\xff\xd9" in content[:-2]
    with pytest.raises(UnusableImageError, match="torn: its end is missing"):
        _read(tmp_path, content[:-2])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"GIF89a" + b"\0" * 40, "not a JPEG, PNG or WebP image"),
        (b"<html>not found</html>", "not a JPEG, PNG or WebP image"),
        (b"\xff\xd8\xff\xe0", "torn: its header breaks off"),
        (b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\x02" + b"\0" * 20, "no still image"),
    ],
)
def test_what_is_no_image_is_said(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(UnusableImageError, match=reason):
        _read(tmp_path, content)


def test_a_side_that_a_stored_box_can_not_hold_is_refused(tmp_path: Path) -> None:
    content = bytearray(_encode("png"))
    content[16:20] = (32768).to_bytes(4)
    with pytest.raises(UnusableImageError, match="53 x 32768 pixels; a side must be 1 to 32767"):
        _read(tmp_path, bytes(content))


def test_missing_files_folders_and_pipes_are_no_images(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in ((tmp_path / "none", "missing"), (tmp_path, "not a file"), (tmp_path / "pipe", "not a file")):
        with pytest.raises(UnusableImageError, match=reason):
            read_header(path)


def test_the_mark_follows_length_and_both_ends(tmp_path: Path) -> None:
    content = _encode("png", 80, 80)
    assert len(content) > 8192
    first = _read(tmp_path, content).mark
    assert _read(tmp_path, content).mark == first
    near_start, near_end = bytearray(content), bytearray(content)
    near_start[200] ^= 1
    near_end[-200] ^= 1
    marks = {first, *(_read(tmp_path, bytes(other)).mark for other in (near_start, near_end, content + b"\0"))}
    assert len(marks) == 4
