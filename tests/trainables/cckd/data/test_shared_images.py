"""Images that two sets share are counted by their pixels, each of which is read once."""

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trainables.cckd.data.images import decode
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.scan import scan
from trainables.cckd.data.images.sets import ImageSet
from trainables.cckd.data.images.view_stream import hold
from trainables.cckd.data.shared_images import SharedImages


def _set(values: list[int]) -> ImageSet:
    images = np.array(values, np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 3), np.uint8)
    return ImageSet(images, np.zeros(len(values), np.int64))


def shared_images(sets: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """All that a training set and its judged sets share."""
    judged = {name: of_set for name, of_set in sets.items() if name != "train"}
    found = SharedImages(judged)
    of_train = {("train", name): n for name, n in found.in_training(sets["train"]).items()}
    return of_train | found.among_judged()


@given(*[st.lists(st.integers(0, 9), max_size=8)] * 3)
def test_arrays_are_counted_as_a_plain_loop_does(train: list[int], val: list[int], test: list[int]) -> None:
    values = {"train": train, "D_val": val, "test": test}
    found = shared_images({name: _set(numbers) for name, numbers in values.items()})
    for first, second in (("train", "D_val"), ("train", "test"), ("D_val", "test")):
        assert found.get((first, second), 0) == sum(number in values[first] for number in values[second])
    assert 0 not in found.values()


def test_a_set_under_two_names_is_not_compared_with_itself() -> None:
    test = _set([1, 2])
    assert shared_images({"train": _set([2, 3]), "D_val": test, "test": test}) == {("train", "test"): 1}


def test_another_shape_is_another_image() -> None:
    flat, tall = (ImageSet(np.zeros((1, 1, *size), np.uint8), np.zeros(1, np.int64)) for size in ((2, 8), (4, 4)))
    assert shared_images({"train": flat, "test": tall}) == {}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, ImageFiles]:
    """Two of the three test images are copies of training images; one of them is also written in another format."""
    random = np.random.default_rng(0)
    for name in ("a", "b", "c", "d"):
        Image.fromarray(random.integers(0, 256, (20, 30, 3), np.uint8)).save(tmp_path / f"{name}.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "copy.png")
    shutil.copy(tmp_path / "b.png", tmp_path / "other name.png")
    Image.open(tmp_path / "c.png").save(tmp_path / "again.webp", lossless=True)
    sets = {"train": ("a.png", "b.png", "c.png"), "test": ("copy.png", "d.png", "other name.png", "again.webp")}
    listed = {name: ImageFiles.listed(tmp_path, paths, [0] * len(paths)) for name, paths in sets.items()}
    return dict(scan(listed).sets)


def test_files_are_nominated_by_their_marks_and_counted_by_their_pixels(files: dict[str, ImageFiles]) -> None:
    assert shared_images(files) == {("train", "test"): 2}


def test_an_equal_mark_alone_counts_nothing(files: dict[str, ImageFiles]) -> None:
    marked = {name: replace(of_set, marks=np.ones(len(of_set), np.uint64)) for name, of_set in files.items()}
    assert shared_images(marked) == {("train", "test"): 3}, "all are decoded, the lossless copy among them"
    apart = {"train": marked["train"].take(np.array([0])), "test": marked["test"].take(np.array([1]))}
    assert shared_images(apart) == {}


def test_decoded_images_are_compared_by_their_pixels(files: dict[str, ImageFiles]) -> None:
    held = {name: hold(of_set, workers=1) for name, of_set in files.items()}
    assert shared_images(held) == {("train", "test"): 3}


@given(*[st.lists(st.integers(0, 9), max_size=8)] * 4)
def test_each_of_several_training_sets_is_counted_by_itself(a: list[int], b: list[int], val: list[int], test) -> None:
    judged = {"D_val": val, "test": test}
    images = SharedImages({name: _set(values) for name, values in judged.items()})
    for train in (a, b, a):
        found = images.in_training(_set(train))
        for name, values in judged.items():
            assert found.get(name, 0) == sum(value in train for value in values)
        assert 0 not in found.values()


def test_no_file_is_decoded_twice_for_however_many_training_sets(
    files: dict[str, ImageFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: Counter[str] = Counter()
    read = decode.read_image

    def counting(files: ImageFiles, index: int) -> Any:
        decoded[files.paths[index]] += 1
        return read(files, index)

    monkeypatch.setattr(decode, "read_image", counting)
    images = SharedImages({"D_val": files["test"].take(np.array([1])), "test": files["test"]})
    train = files["train"]
    cuts = [train, train.take(np.array([0, 2])), train.take(np.array([1, 2])), train.take(np.array([2]))]
    assert [images.in_training(cut) for cut in cuts] == [{"test": 2}, {"test": 1}, {"test": 1}, {}]
    assert images.among_judged() == {("D_val", "test"): 1}
    assert set(decoded.values()) == {1}


def test_a_file_that_cannot_be_decoded_is_like_no_other_one(files: dict[str, ImageFiles], tmp_path: Path) -> None:
    marked = {name: replace(of_set, marks=np.ones(len(of_set), np.uint64)) for name, of_set in files.items()}
    (tmp_path / "copy.png").write_bytes(b"no image")
    assert shared_images(marked) == {("train", "test"): 2}
