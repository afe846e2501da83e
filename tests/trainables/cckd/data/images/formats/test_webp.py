"""What the scan says of WebP files."""

import pytest

from tests.support.damaged_images import encoded
from trainables.cckd.data.images.formats import webp
from trainables.cckd.data.images.formats.limits import UnusableImageError

LOSSY, LOSSLESS, EXTENDED = (encoded(kind) for kind in ("webp", "webp without loss", "webp with transparency"))


@pytest.mark.parametrize("content", [LOSSY, LOSSLESS, EXTENDED])
def test_sound_files_pass_with_more_behind_their_end(content: bytes) -> None:
    for behind in (b"", b"more"):
        assert webp.check(content + behind) == webp.size(content + behind) == (53, 71)


def _with(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (LOSSY[:29], "its end is missing"),
        (LOSSY[:-1], "its end is missing"),
        (_with(LOSSY, 16, b"\xff\xff\xff\x00"), "its end is missing"),  # the chunk is longer than the file
        (_with(LOSSY, 20, bytes([LOSSY[20] | 1])), "no key frame"),
        (_with(LOSSY, 23, b"abc"), "no still image"),
        (_with(LOSSLESS, 20, b"\x00"), "no still image"),
        (_with(LOSSLESS, 24, b"\xff"), "unknown version"),
        (_with(EXTENDED, 24, b"\x01"), "no image of the size that it states"),
        (EXTENDED[:30] + b"ABCD" + bytes(4), "its end is missing"),
    ],
)
def test_damage_in_the_chunks_is_named(content: bytes, reason: str) -> None:
    with pytest.raises(UnusableImageError, match=reason):
        webp.check(content)
