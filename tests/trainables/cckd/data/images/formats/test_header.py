"""What a file's header says, held against Pillow, and every way a file can be torn."""

import hashlib
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.support.damaged_images import KINDS, damaged, encoded, flipped, natural
from trainables.cckd.data.images.formats.header import Header, read_header
from trainables.cckd.data.images.formats.limits import LARGEST_AREA, UnusableImageError


def _read(folder: Path, content: bytes) -> Header:
    (folder / "image").write_bytes(content)
    return read_header(folder / "image")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("height", "width"), [(53, 71), (1, 300)])
def test_sizes_are_those_pillow_reads(tmp_path: Path, kind: str, height: int, width: int) -> None:
    content = encoded(kind, height, width)
    header = _read(tmp_path, content)
    assert (header.width, header.height) == Image.open(io.BytesIO(content)).size == (width, height)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_torn_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    content = encoded(kind)
    for length in {*range(0, 64), *range(64, len(content), 97), len(content) - 2, len(content) - 1}:
        with pytest.raises(UnusableImageError):
            _read(tmp_path, content[:length])


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_bytes_behind_the_end_do_no_harm_however_many(tmp_path: Path, kind: str) -> None:
    content = encoded(kind)
    assert _read(tmp_path, content + b"\0" * 10_000).height == 53


def _with_9_kb_ahead_of_its_size() -> bytes:
    content = io.BytesIO()
    Image.fromarray(natural(53, 71)).save(content, "JPEG", exif=b"Exif\0\0" + b"\xff\xd9" * 4500)
    return content.getvalue()


def test_a_thumbnails_end_is_not_the_images_end(tmp_path: Path) -> None:
    content = _with_9_kb_ahead_of_its_size()
    assert _read(tmp_path, content).height == 53
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
    content = bytearray(encoded("png"))
    content[16:20] = (32768).to_bytes(4)
    with pytest.raises(UnusableImageError, match="53 x 32768 pixels; a side must be 1 to 32767"):
        _read(tmp_path, bytes(content))


def test_missing_files_folders_and_pipes_are_no_images(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in ((tmp_path / "none", "missing"), (tmp_path, "not a file"), (tmp_path / "pipe", "not a file")):
        with pytest.raises(UnusableImageError, match=reason):
            read_header(path)


def test_the_mark_follows_length_and_both_ends(tmp_path: Path) -> None:
    written = io.BytesIO()
    Image.fromarray(natural(80, 80)).save(written, "JPEG", quality=95, comment=b"a" * 300)
    content = written.getvalue() + bytes(4500)  # a comment at one end, bytes that nothing reads at the other
    assert len(content) > 8192
    first = _read(tmp_path, content).mark
    assert _read(tmp_path, content).mark == first
    changed = [flipped(content, 200), flipped(content, -200), content + b"\0"]
    assert len({first, *(_read(tmp_path, other).mark for other in changed)}) == 4
    middle = flipped(content, -4300)
    assert _read(tmp_path, middle).mark == first, "a cache of a teacher's outputs is found by such marks"


def test_the_mark_is_what_it_was_when_only_both_ends_were_read(tmp_path: Path) -> None:
    for content in (encoded("png", 300, 200), encoded("grey png", 9, 9)):
        edges = content[:4096] + content[-4096:]
        expected = hashlib.blake2b(len(content).to_bytes(8, "little") + edges, digest_size=8).digest()
        assert _read(tmp_path, content).mark == int.from_bytes(expected, "little")


def test_files_are_damaged_in_fifty_ways_and_each_is_refused_in_one_line(tmp_path: Path) -> None:
    files = list(damaged())
    assert len({name for name, _ in files}) == len(files) >= 50
    for name, content in files:
        with pytest.raises(UnusableImageError) as caught:
            _read(tmp_path, content)
        reason = str(caught.value)
        assert reason, name
        assert "\n" not in reason, name


def test_an_image_of_too_many_pixels_is_refused_before_it_is_read(tmp_path: Path) -> None:
    files = dict(damaged())
    for name in ("huge.png", "huge.jpg"):
        with pytest.raises(UnusableImageError, match="30000 x 30000 pixels; an image must have at most 89478485"):
            _read(tmp_path, files[name])
    assert LARGEST_AREA == 89478485


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.cckd.data.images.formats.header.LARGEST_FILE", 100)
    with pytest.raises(UnusableImageError, match=r"^\d+ bytes; a file must have at most 100$"):
        _read(tmp_path, encoded("png"))
