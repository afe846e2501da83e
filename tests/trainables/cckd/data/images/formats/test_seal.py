"""A seal sees every flipped bit, torn ends and a wrong name, and no reader stumbles over it."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.damaged_images import encoded, flipped
from trainables.cckd.data.images.decode import decoded
from trainables.cckd.data.images.formats import jpeg
from trainables.cckd.data.images.formats.seal import is_whole, sealed

NAME = "ab.jpg"
CONTENT = sealed(encoded("jpeg"), NAME)


@settings(max_examples=200)
@given(st.integers(0, 8 * len(CONTENT) - 1))
def test_any_flipped_bit_breaks_the_seal(place: int) -> None:
    assert is_whole(CONTENT, NAME)
    assert not is_whole(flipped(CONTENT, place // 8, place % 8), NAME)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xd8\xff", CONTENT[:-1], CONTENT + b"\0", CONTENT[: len(CONTENT) // 2], b"\0" * len(CONTENT)],
)
def test_torn_and_foreign_files_are_not_whole(content: bytes) -> None:
    assert not is_whole(content, NAME)


def test_a_file_under_another_name_is_not_whole() -> None:
    assert not is_whole(CONTENT, "ac.jpg")


@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg", "grey jpeg", "jpeg with restarts"])
def test_the_pixels_of_a_sealed_file_are_those_of_the_file(kind: str) -> None:
    plain = encoded(kind)
    content = sealed(plain, NAME)
    assert is_whole(content, NAME)
    assert not is_whole(plain, NAME)
    assert jpeg.check(content) == jpeg.check(plain)
    np.testing.assert_array_equal(decoded(content), decoded(plain))
    with Image.open(BytesIO(content)) as image:
        assert image.info["jfif"] == 257, "JFIF's segment is still the first"
