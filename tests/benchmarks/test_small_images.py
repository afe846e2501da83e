"""The encodings that are compared hold the image, and the store's own is one of them."""

import numpy as np
import pytest

from benchmarks import small_images
from benchmarks.small_images import ENCODINGS, decode_ms, noise_ratio, small, written
from tests.support.damaged_images import natural
from trainables.cckd.data.images.decode import decoded
from trainables.cckd.data.images.formats.seal import sealed
from trainables.cckd.data.store.small_image import QUALITY, small_image


def test_losses_are_measured_against_the_small_pixels() -> None:
    image = small(natural(300, 400))
    assert image.shape == (256, 341, 3)
    found = {name: noise_ratio(decoded(written(image, options)), image) for name, options in ENCODINGS.items()}
    assert found["PNG"] == found["WebP without loss"] == np.inf
    assert found["JPEG 98, 4:4:4"] > found[f"JPEG {QUALITY}, 4:4:4"] > found["JPEG 90, 4:4:4"] > 25
    assert found["JPEG 95, 4:4:4"] > found["JPEG 95, 4:2:0"]
    assert noise_ratio(np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)) == pytest.approx(0)


def test_the_small_pixels_and_an_encoding_are_those_of_a_store() -> None:
    image, options = natural(300, 400), ENCODINGS[f"JPEG {QUALITY}, 4:4:4"]
    assert sealed(written(small(image), options), "a.jpg") == small_image(image, (256, 341), "a.jpg")


def test_decoding_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_images, "TURNS", 1)
    assert decode_ms([written(natural(60, 60), {"format": "PNG"})]) > 0
