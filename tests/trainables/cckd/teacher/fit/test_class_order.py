"""The outputs of a checkpoint in timm's order of class folders, in ours, or in that of a file."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file
from timm.utils.misc import natural_key

from tests.support.fitted_checkpoint import MODEL, write_fitted
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.sets import ImageSet
from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.fit.class_order import check_order, natural_order, output_names, read_class_map
from trainables.cckd.teacher.spec import TeacherSpec
from trainables.cckd.teacher.teacher_file import TeacherFile

SIZE, PER_CLASS = 32, 12

#: Class names of whose two orders timm takes one and we the other.
NAMES = {
    "numbers": ("1", "2", "3", "10", "11"),
    "numbers in words": ("bird 7", "bird 9", "bird 10", "bird 100"),
    "capitals": ("ant", "Bee", "cat", "Dog"),
}


def _images(n_classes: int, per_class: int = PER_CLASS) -> ImageSet:
    """Each class has a colour, and its images some noise."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(n_classes), per_class)
    colours = rng.integers(40, 215, (n_classes, 3, 1, 1))
    noisy = colours[labels] + rng.normal(0, 15, (len(labels), 3, SIZE, SIZE))
    return ImageSet(noisy.clip(0, 255).astype(np.uint8), labels)


Trained = Callable[[Sequence[str], Sequence[str]], TeacherFile]


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """A checkpoint whose classifier was fitted to the images of `names`, with its outputs in an `order` of them."""

    def train(names: Sequence[str], order: Sequence[str]) -> TeacherFile:
        images = _images(len(names))
        outputs = np.array([order.index(name) for name in names])[images.labels]
        path = tmp_path / "teacher.safetensors"
        n_features = write_fitted(path, images.images, outputs)
        return TeacherFile(MODEL, path, "aa", n_features, len(names))

    return train


def _fault(file: TeacherFile, names: Sequence[str], classes: str | None = None) -> str | None:
    """What a refusal says; None where the teacher is taken and its order is beyond doubt."""
    spec = TeacherSpec(form="checkpoint", weights=str(file.path), classes=classes)
    try:
        assert check_order(spec, file, SIZE, _images(len(names)), names) is None
    except TeacherError as error:
        return error.faults[0]
    return None


@given(st.lists(st.text(st.sampled_from("aAbB0129 _-"), min_size=1), unique_by=str.lower))
def test_the_natural_order_is_timms(names: list[str]) -> None:
    assert list(natural_order(names)) == sorted(names, key=natural_key)


@pytest.mark.parametrize("kind", NAMES)
def test_a_checkpoint_in_timms_order_is_refused_and_taken_where_that_is_said(kind: str, trained: Trained) -> None:
    names = sorted(NAMES[kind])
    file = trained(names, NAMES[kind])
    said = _fault(file, names)
    assert said is not None
    assert f"right with classes sorted naturally ({', '.join(NAMES[kind])})" in said
    assert f"with ({', '.join(names)}); give its order with --teacher-classes" in said
    assert _fault(file, names, classes="natural") is None


@pytest.mark.parametrize("kind", NAMES)
def test_a_checkpoint_in_our_order_is_taken_and_refused_where_another_is_said(kind: str, trained: Trained) -> None:
    names = sorted(NAMES[kind])
    file = trained(names, names)
    assert _fault(file, names) is None
    said = _fault(file, names, classes="natural")
    assert said is not None
    assert "right with classes sorted as texts" in said


def test_an_order_of_the_users_own_is_taken_and_a_wrong_one_refused(trained: Trained, tmp_path: Path) -> None:
    names = sorted(NAMES["numbers"])
    (tmp_path / "class_map.txt").write_text("3\n11\n1\n10\n2\n")
    own = trained(names, ("3", "11", "1", "10", "2"))
    assert _fault(own, names, classes=str(tmp_path / "class_map.txt")) is None
    natural = trained(names, NAMES["numbers"])
    said = _fault(natural, names, classes=str(tmp_path / "class_map.txt"))
    assert said is not None
    assert "sorted naturally (1, 2, 3, 10, 11)" in said


def test_a_classifier_that_has_learned_nothing_tells_no_order(trained: Trained) -> None:
    names = sorted(NAMES["numbers"])
    file = trained(names, names)
    torch.manual_seed(1)
    save_file(timm.create_model(MODEL, num_classes=len(names)).state_dict(), file.path)
    said = check_order(TeacherSpec(form="checkpoint"), file, SIZE, _images(len(names)), names)
    assert said is not None
    assert said.startswith(f"too few images show in which order the outputs of {file.path} are: of 48 training images")


@pytest.mark.parametrize(("per_class", "clear"), [(4, True), (3, False)])
def test_eight_images_tell_two_orders_apart_and_six_are_too_few(per_class: int, clear: bool, trained: Trained) -> None:
    names, natural = ("10", "2"), ("2", "10")
    images, spec = _images(2, per_class), TeacherSpec(form="checkpoint")
    right, wrong = f"({', '.join(natural)})", f"({', '.join(names)})"
    file = trained(names, natural)
    told = f"of {2 * per_class} training images it names {2 * per_class} right with classes sorted naturally {right}, 0"
    if clear:
        with pytest.raises(TeacherError, match=re.escape(told)):
            check_order(spec, file, SIZE, images, names)
        assert check_order(spec, trained(names, names), SIZE, images, names) is None
    else:
        assert told in (check_order(spec, file, SIZE, images, names) or "")
        said = check_order(spec, trained(names, names), SIZE, images, names)
        assert said is not None
        assert said.endswith(f"it names 0 right with classes sorted naturally {right}, {2 * per_class} with {wrong}")


@pytest.mark.parametrize("names", [("ant", "bee"), ("1", "2", "3"), ("07", "10")])
def test_nothing_is_read_where_both_orders_are_one(names: tuple[str, ...]) -> None:
    absent = TeacherFile(MODEL, Path("nowhere"), "aa", 8, len(names))
    assert check_order(TeacherSpec(form="checkpoint"), absent, SIZE, None, names) is None
    assert check_order(TeacherSpec(form="ncm"), absent, SIZE, None, NAMES["numbers"]) is None


def _files(folder: Path, images: ImageSet, torn: Sequence[int]) -> ImageFiles:
    """The images as PNG files, those of some rows torn."""
    paths = tuple(f"{row}.png" for row in range(len(images)))
    for row, (path, pixels) in enumerate(zip(paths, images.images, strict=True)):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / path)
        if row in torn:
            (folder / path).write_bytes(b"no image")
    sizes, marks = np.full((len(paths), 2), SIZE, np.int32), np.zeros(len(paths), np.uint64)
    return ImageFiles(folder, paths, images.labels, sizes, marks)


def test_the_orders_are_compared_on_the_images_that_are_not_damaged(trained: Trained, tmp_path: Path) -> None:
    names = sorted(NAMES["numbers"])
    file, images = trained(names, NAMES["numbers"]), _images(len(names))
    torn = [PER_CLASS, 2 * PER_CLASS - 1, 3 * PER_CLASS]  # of classes at other places
    with pytest.raises(TeacherError, match="of 45 training images"):
        check_order(TeacherSpec(form="checkpoint"), file, SIZE, _files(tmp_path, images, torn), names)


def test_images_that_are_all_damaged_tell_no_order(trained: Trained, tmp_path: Path) -> None:
    names = sorted(NAMES["numbers"])
    file, images = trained(names, names), _images(len(names), per_class=2)
    said = check_order(TeacherSpec(form="checkpoint"), file, SIZE, _files(tmp_path, images, range(10)), names)
    assert said is not None
    assert "of 0 training images" in said


def test_a_map_of_many_classes_is_read_in_no_time(tmp_path: Path) -> None:
    names = [str(number) for number in range(30_000)]
    path = tmp_path / "class_map.txt"
    path.write_text("\n".join(reversed(names)))
    started = process_time()
    assert read_class_map(path, names) == tuple(reversed(names))
    assert process_time() - started < 5, "a walk through all names for each name takes tens of seconds"


@pytest.mark.parametrize("text", ["1\n2\n10\n", "1\r\n2\r\n10", "\ufeff1\n 2 \n10\n\n\n"])
def test_the_lines_of_a_class_map_are_the_outputs(text: str, tmp_path: Path) -> None:
    path = tmp_path / "class_map.txt"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_class_map(path, ("1", "10", "2")) == ("1", "2", "10")
    assert output_names(TeacherSpec(form="head", classes=str(path)), ("1", "10", "2")) == ("1", "2", "10")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"1\n2\n", "must name each of the data set's 3 classes once; it lacks 10"),
        (b"1\n2\n10\n2\n", "it repeats 2"),
        (b"1\n2\n10\n4\n", "no class is called 4"),
        (b"1 0\n2 1\n10 2\n", "it lacks 1, 10, 2; no class is called 1 0, 2 1, 10 2"),
        (b"", "it lacks 1, 10, 2"),
        (b"\xff\xfe\x00", "a text file with a class per line; "),
        (None, "class_map.txt: FileNotFoundError"),
    ],
)
def test_a_map_of_other_classes_is_refused_in_one_line(content: bytes | None, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "class_map.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TeacherError) as caught:
        read_class_map(path, ("1", "10", "2"))
    (line,) = caught.value.faults
    assert fault in line
    assert str(path) in line


def test_forms_without_a_classifier_of_their_own_have_no_outputs() -> None:
    assert output_names(TeacherSpec(), ("a", "b")) is None
    assert output_names(TeacherSpec(form="head"), ("b", "a")) == ("b", "a")
