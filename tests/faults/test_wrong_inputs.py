"""A user's own images, lists and teacher files, each wrong in one way: one clear error, code 2, nothing written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.run import main

CLASSES = ("ant", "bee", "cat")
#: Training, validation and test images of each class; the last class has two training images fewer.
PARTS = {"train": 8, "val": 2, "test": 2}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Folders of three classes with a list file for each part, all of it good."""
    for part, n_images in PARTS.items():
        lines = []
        for label, name in enumerate(CLASSES):
            (tmp_path / part / name).mkdir(parents=True)
            for index in range(n_images - 2 * (part == "train" and name == "cat")):
                path = f"{part}/{name}/{index}.jpg"
                Image.new("RGB", (40, 32), (30 * index, 80 * label, 0)).save(tmp_path / path)
                lines.append(f"{path} {label}\n")
        (tmp_path / f"{part}.txt").write_text("".join(lines))
    return tmp_path


def _append(part: str, line: str) -> Callable[[Path], object]:
    return lambda world: (world / f"{part}.txt").write_text((world / f"{part}.txt").read_text() + line)


def _without_class(part: str, label: int) -> Callable[[Path], object]:
    def drop(world: Path) -> None:
        lines = (world / f"{part}.txt").read_text().splitlines(keepends=True)
        (world / f"{part}.txt").write_text("".join(line for line in lines if not line.endswith(f" {label}\n")))

    return drop


def _not_an_image(world: Path) -> None:
    (world / "train" / "ant" / "0.jpg").write_text("a letter")


def _torn(world: Path) -> None:
    path = world / "test" / "bee" / "1.jpg"
    path.write_bytes(path.read_bytes()[:-9])


def _empty(part: str) -> Callable[[Path], object]:
    return lambda world: (world / f"{part}.txt").write_text("")


def _empty_folder(world: Path) -> None:
    for path in (world / "val").rglob("*.jpg"):
        path.unlink()


def _embeddings(rows: int, width: int) -> Callable[[Path], object]:
    return lambda world: np.savez(world / "classes.npz", embeddings=np.ones((rows, width), np.float32))


def _nothing(world: Path) -> None:
    pass


LISTS = "image_list:root={w},train={w}/train.txt,val={w}/val.txt,test={w}/test.txt"
FOLDER = "image_folder:path={w}"
HELD_OUT = "image_list:root={w},train={w}/train.txt,test={w}/test.txt,holdout="
ZERO_SHOT = ("--teacher-form", "zero_shot", "--teacher-embeddings", "{w}/classes.npz")

CASES = {
    "list with a missing class": (
        _without_class("train", 1),
        LISTS,
        (),
        "train.txt: every class of 0..2 needs an image; none of class 1",
    ),
    "val list with a missing class": (
        _without_class("val", 2),
        LISTS,
        (),
        "val.txt: every class of 0..2 needs an image; none of class 2",
    ),
    "label out of range": (
        _append("test", "test/ant/9.jpg 3\n"),
        LISTS,
        (),
        "test.txt: labels must lie in 0..2; got 3 (test/ant/9.jpg)",
    ),
    "negative label": (
        _append("val", "val/ant/9.jpg -1\n"),
        LISTS,
        (),
        "val.txt: labels must lie in 0..2; got -1 (val/ant/9.jpg)",
    ),
    "duplicate path": (
        _append("train", "train/ant/0.jpg 0\n"),
        LISTS,
        (),
        "a path must be listed once; listed again: train/ant/0.jpg",
    ),
    "trained on a test image": (
        _append("train", "test/ant/0.jpg 0\n"),
        LISTS,
        (),
        "must share no path; both list test/ant/0.jpg",
    ),
    "missing file": (_append("train", "train/ant/77.jpg 0\n"), LISTS, (), "train/ant/77.jpg: missing"),
    "non-image file": (_not_an_image, LISTS, (), "train/ant/0.jpg: not a JPEG, PNG or WebP image"),
    "torn image": (_torn, FOLDER, (), "test/bee/1.jpg: torn: its end is missing"),
    "empty list": (_empty("test"), LISTS, (), "test.txt must list at least one image; it lists none"),
    "empty folder": (_empty_folder, FOLDER, (), "val: every class folder needs an image; none in ant, bee, cat"),
    "teacher with other classes": (
        _nothing,
        FOLDER,
        ("--teacher-form", "head"),
        "needs a classifier of the data set's 3 classes; ",
    ),
    "embeddings of another width": (
        _embeddings(3, 7),
        FOLDER,
        ZERO_SHOT,
        "class embeddings must be as wide as the outputs or features of teacher",
    ),
    "embeddings of other classes": (
        _embeddings(4, 1280),
        FOLDER,
        ZERO_SHOT,
        "one row for each of the 3 classes; got shape (4, 1280)",
    ),
    "IR below 1": (_nothing, FOLDER + ",n_max=5,ir=0.9", (), "ir must be a finite number of at least 1; got 0.9"),
    "hold-out as large as the smallest class": (
        _nothing,
        HELD_OUT + "6",
        (),
        "the hold-out must be smaller than the smallest class",
    ),
    "hold-out larger than the smallest class": (
        _nothing,
        HELD_OUT + "9",
        (),
        "the hold-out must be smaller than the smallest class",
    ),
    "longer tail than there are images": (
        _nothing,
        FOLDER + ",n_max=8",
        (),
        "must be at most 6 here; got 8: ",
    ),
}


def _argv(world: Path, data: str, flags: tuple[str, ...]) -> list[str]:
    words = ["--space", "acckd_smoke", "--data", data, "--set", "batch_size=5", *flags]
    return [word.replace("{w}", str(world)) for word in words] + ["--out", str(world / "runs")]


@pytest.mark.parametrize("case", CASES)
def test_each_wrong_input_has_its_own_error_and_exit_code_2(
    case: str, world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("study.phases.session.begin.begin", lambda *_: pytest.fail("the study was begun"))
    spoil, data, flags, fault = CASES[case]
    spoil(world)
    before = set(world.rglob("*"))
    assert main(_argv(world, data, flags)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line.removeprefix("error: ") for line in said.err.splitlines()]
    assert [line for line in lines if fault in line], lines
    # A file that cannot be used stands below a line that counts such files.
    assert len(lines) == (2 if "image files cannot be used" in lines[0] else 1), lines
    assert set(world.rglob("*")) == before


@pytest.mark.parametrize("data", [LISTS, FOLDER, HELD_OUT + "5"])
def test_the_same_inputs_without_a_fault_are_accepted(
    data: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _embeddings(3, 1280)(world)
    assert main([*_argv(world, data, ZERO_SHOT), "--dry-run"]) == 0, capsys.readouterr().err
