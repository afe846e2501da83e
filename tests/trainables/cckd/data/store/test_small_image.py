"""The small file of an image: its size, and its pixels against plain Pillow."""

from io import BytesIO

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.support.damaged_images import natural
from trainables.cckd.data.images.decode import decoded
from trainables.cckd.data.images.formats import jpeg
from trainables.cckd.data.store.small_image import small_image, small_sizes

NAME = "ab.jpg"


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(8, 600))
def test_only_images_with_a_longer_shorter_side_shrink_and_keep_their_aspect(height, width, shorter) -> None:
    found = small_sizes(np.array([[height, width]], np.int32), shorter)[0].tolist()
    if min(height, width) <= shorter:
        assert found == [height, width]
        return
    assert min(found) == shorter
    assert (found[0] <= found[1]) == (height <= width) or found[0] == found[1]
    exact = max(height, width) * shorter / min(height, width)
    assert abs(max(found) - exact) <= 0.5 + 1e-6


def test_a_set_without_images_has_no_sizes() -> None:
    assert small_sizes(np.zeros((0, 2), np.int32), 64).shape == (0, 2)


def test_the_pixels_are_those_of_a_plain_bicubic_to_within_the_encoding() -> None:
    pixels = natural(200, 320)
    small = decoded(small_image(pixels, (64, 102), NAME))
    expected = np.asarray(Image.fromarray(pixels).resize((102, 64), Image.Resampling.BICUBIC))
    assert small.shape == expected.shape == (64, 102, 3)
    error = ((small.astype(float) - expected) ** 2).mean()
    assert 10 * np.log10(255**2 / error) > 36, "near lossless"


def test_every_reader_takes_the_file_and_colours_keep_their_resolution() -> None:
    content = small_image(natural(90, 90), (48, 40), NAME)
    assert jpeg.check(content) == (48, 40)
    with Image.open(BytesIO(content)) as image:
        assert (image.size, image.mode) == ((40, 48), "RGB")
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}, "no chroma subsampling"
        assert "exif" not in image.info
        np.testing.assert_allclose(np.asarray(image).astype(int), decoded(content), atol=4)


def test_the_same_image_gives_the_same_bytes() -> None:
    assert small_image(natural(90, 90), (48, 48), NAME) == small_image(natural(90, 90), (48, 48), NAME)
