import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2.functional import horizontal_flip, resized_crop

from tests.support.damaged_images import KINDS, encoded, png_chunk, png_of
from trainables.cckd.data.images.crops import draw_crops
from trainables.cckd.data.images.decode import read_image, read_views
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.view_stream import hold
from trainables.cckd.errors import DataError


def _reference_view(image: np.ndarray, view: np.ndarray, size: int) -> np.ndarray:
    top, left, height, width, flip = view.tolist()
    planes = torch.from_numpy(image.copy()).permute(2, 0, 1)
    cut = resized_crop(planes, top, left, height, width, [size, size], antialias=True)
    return (horizontal_flip(cut) if flip else cut).numpy()


@pytest.mark.parametrize("size", [9, 32, 70])  # shrinks, both, grows
def test_a_view_is_torchvisions_resized_crop(image_files: ImageFiles, size: int) -> None:
    views = draw_crops(image_files.sizes, 2, flip=True, seed=0)[:, 1]
    indices = np.array([5, 0, 41, 5, 7])
    found = read_views(image_files, indices, views[indices], size)
    expected = np.stack([_reference_view(read_image(image_files, i), views[i], size) for i in indices.tolist()])
    np.testing.assert_array_equal(found, expected)


def test_every_format_is_read_in_colour_and_as_large_as_listed(image_files: ImageFiles) -> None:
    for index, path in enumerate(image_files.paths):
        pixels = read_image(image_files, index)
        with Image.open(image_files.root / path) as image:
            expected = np.asarray(image.convert("RGB")).astype(int)
        assert pixels.shape == expected.shape
        assert np.abs(pixels - expected).max() <= (0 if path.endswith("png") else 4)  # decoders of JPEG may round


def test_sixteen_bit_images_are_read_by_their_upper_eight(tmp_path) -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(deep).save(tmp_path / "deep.png")
    files = replace(ImageFiles.listed(tmp_path, ["deep.png"], [0]), sizes=np.array([[8, 8]], np.int32))
    np.testing.assert_array_equal(read_image(files, 0), np.repeat((deep >> 8)[..., None], 3, axis=2))


LEGAL_PNG = [(0, bits) for bits in (1, 2, 4, 8, 16)] + [(3, bits) for bits in (1, 2, 4, 8)]
LEGAL_PNG += [(colour, bits) for colour in (2, 4, 6) for bits in (8, 16)]


@pytest.mark.parametrize(("colour", "bits"), LEGAL_PNG)
def test_png_of_every_kind_has_the_pixels_that_torchvision_gives_it(tmp_path: Path, colour: int, bits: int) -> None:
    rng = np.random.default_rng(bits)
    height, width, n_channels = 13, 9, {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    rows = rng.integers(0, 256, (height, 1 + (width * bits * n_channels + 7) // 8), dtype=np.uint8)
    rows[:, 0] = 0
    palette = png_chunk(b"PLTE", rng.bytes(3 * 2**bits)) if colour == 3 else b""
    transparent = png_chunk(b"tRNS", bytes(2 * n_channels) if colour < 3 else b"\0") if colour < 4 else b""
    content = png_of(
        height, width, zlib.compress(rows.tobytes()), bits=bits, colour=colour, between=palette + transparent
    )
    (tmp_path / "image.png").write_bytes(content)
    expected = decode_image(torch.frombuffer(bytearray(content), dtype=torch.uint8), ImageReadMode.RGB).numpy()
    if expected.dtype == np.uint16:
        expected = (expected >> 8).astype(np.uint8)
    files = replace(ImageFiles.listed(tmp_path, ["image.png"], [0]), sizes=np.array([[height, width]], np.int32))
    np.testing.assert_array_equal(read_image(files, 0), expected.transpose(1, 2, 0))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "png" not in kind])
def test_jpeg_and_webp_are_torchvisions(tmp_path: Path, kind: str) -> None:
    content = encoded(kind)
    (tmp_path / "image").write_bytes(content)
    expected = decode_image(torch.frombuffer(bytearray(content), dtype=torch.uint8), ImageReadMode.RGB)
    files = replace(ImageFiles.listed(tmp_path, ["image"], [0]), sizes=np.array([[53, 71]], np.int32))
    np.testing.assert_array_equal(read_image(files, 0), expected.permute(1, 2, 0).numpy())


def test_held_images_are_those_in_the_files(image_files: ImageFiles) -> None:
    held = hold(image_files, workers=2)
    for index in range(len(image_files)):
        np.testing.assert_array_equal(held.image(index), read_image(image_files, index))
    some = held.take(np.array([7, 3]))
    np.testing.assert_array_equal(some.image(1), read_image(image_files, 3))
    assert some.labels.tolist() == image_files.labels[[7, 3]].tolist()
    assert some.pixels is held.pixels
    assert hold(held, workers=1) is held


def test_a_file_that_broke_after_the_scan_is_named(image_files: ImageFiles, tmp_path) -> None:
    (tmp_path / "torn.jpg").write_bytes((image_files.root / image_files.paths[1]).read_bytes()[:100])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "other.png").write_bytes((image_files.root / image_files.paths[0]).read_bytes())
    names = ["torn.jpg", "empty.jpg", "gone.jpg", "other.png"]
    files = replace(ImageFiles.listed(tmp_path, names, [0] * 4), sizes=np.full((4, 2), 30, np.int32))
    for index, name in enumerate(names[:3]):
        with pytest.raises(DataError, match=f"{name} cannot be read as an image: ."):
            read_image(files, index)
    with pytest.raises(DataError, match=r"other.png was 30 x 30 pixels when it was scanned; now \d+ x \d+"):
        read_image(files, 3)
