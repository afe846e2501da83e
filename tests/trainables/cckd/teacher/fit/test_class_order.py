"""The outputs of a checkpoint in timm's order of class folders, in ours, or in that of a file."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from timm.utils.misc import natural_key

from tests.support.fitted_checkpoint import MODEL, write_fitted
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.sets import ImageSet
from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.fit.class_order import natural_order, order_fault, output_names, read_class_map
from trainables.cckd.teacher.spec import TeacherSpec
from trainables.cckd.teacher.teacher_file import TeacherFile

SIZE, PER_CLASS = 32, 12

#: Class names of whose two orders timm takes one and we the other.
NAMES = {
    "numbers": ("1", "2", "3", "10", "11"),
    "numbers in words": ("bird 7", "bird 9", "bird 10", "bird 100"),
    "capitals": ("ant", "Bee", "cat", "Dog"),
}


def _images(n_classes: int) -> ImageSet:
    """Each class has a colour, and its images some noise."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(n_classes), PER_CLASS)
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
    spec = TeacherSpec(form="checkpoint", weights=str(file.path), classes=classes)
    return order_fault(spec, file, SIZE, _images(len(names)), names)


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
    assert _fault(file, names) is None


@pytest.mark.parametrize("names", [("ant", "bee"), ("1", "2", "3"), ("07", "10")])
def test_nothing_is_read_where_both_orders_are_one(names: tuple[str, ...]) -> None:
    absent = TeacherFile(MODEL, Path("nowhere"), "aa", 8, len(names))
    assert order_fault(TeacherSpec(form="checkpoint"), absent, SIZE, None, names) is None
    assert order_fault(TeacherSpec(form="ncm"), absent, SIZE, None, NAMES["numbers"]) is None


def test_a_damaged_image_is_left_to_who_tells_of_it(trained: Trained, tmp_path: Path) -> None:
    names = sorted(NAMES["numbers"])
    file = trained(names, NAMES["numbers"])
    (tmp_path / "torn.png").write_bytes(b"no image")
    sizes, marks = np.full((5, 2), 32, np.int32), np.zeros(5, np.uint64)
    images = ImageFiles(tmp_path, ("torn.png",) * 5, np.arange(5), sizes, marks)
    assert order_fault(TeacherSpec(form="checkpoint"), file, SIZE, images, names) is None


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
