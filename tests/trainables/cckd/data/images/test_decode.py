from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import horizontal_flip, resized_crop

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
