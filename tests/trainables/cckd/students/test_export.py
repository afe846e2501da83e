import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch

from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.students.build import build_student
from trainables.cckd.students.export import export_model, load_model
from trainables.cckd.training.trainer import Trainer


def _trained(data: TrialData, method: str = "acckd") -> Trainer:
    config = TrialConfig.build({"method": method, "epochs": 1, "batch_size": 16, "lr": 0.05})
    trainer = Trainer(config, data)
    list(trainer)
    return trainer


@pytest.mark.parametrize("method", ["acckd", "ldam_drw"])
def test_an_exported_model_answers_as_the_trained_one(method: str, trial_data: TrialData, tmp_path: Path) -> None:
    trainer = _trained(trial_data, method)
    export_model(trainer.student, trial_data, tmp_path / "models", "best1", meta={})
    images = torch.randn(4, 1, 8, 8)
    with torch.no_grad():
        expected, _ = trainer.student.eval()(images)
        found, _ = load_model(tmp_path / "models", "best1")(images)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("method", ["ce", "ldam_drw"])
def test_an_exported_model_answers_under_the_uniform_prior_as_its_learner(
    method: str, trial_data: TrialData, tmp_path: Path
) -> None:
    config = TrialConfig.build(
        {"method": method, "epochs": 1, "batch_size": 16, "lr": 0.05, "prediction_prior": "uniform"}
    )
    trainer = Trainer(config, trial_data)
    list(trainer)
    trained = {name: tensor.clone() for name, tensor in trainer.student.state_dict().items()}
    correction = trainer.learner.correction
    export_model(trainer.student, trial_data, tmp_path, "best1", meta={}, correction=correction)
    images = torch.randn(64, 1, 8, 8)
    trainer.student.eval()
    expected, _ = trainer.learner.read(images)
    with torch.no_grad():
        raw, _ = trainer.student(images)
        found, _ = load_model(tmp_path, "best1")(images)
    torch.testing.assert_close(found, expected)
    assert (raw - found).abs().max() > 0.1, "the correction is no rounding"
    for name, tensor in trainer.student.state_dict().items():
        torch.testing.assert_close(tensor, trained[name], rtol=0, atol=0, msg=name)


def test_plain_timm_loads_the_weights_without_the_alignment_layer(trial_data: TrialData, tmp_path: Path) -> None:
    weights_path, json_path = export_model(
        _trained(trial_data).student, trial_data, tmp_path, "best1", meta={"test_balanced_accuracy": 0.5}
    )
    about = json.loads(json_path.read_text())
    channels = about["input_shape"][0]
    import_module(about["timm_module"])
    net = timm.create_model(about["timm_name"], num_classes=len(about["classes"]), in_chans=channels)
    net.load_state_dict(safetensors.torch.load_file(weights_path))
    assert about["classes"] == ["top", "middle", "bottom"]
    assert about["test_balanced_accuracy"] == 0.5
    np.testing.assert_allclose(about["pixel_mean"], trial_data.pixel_mean)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050"])
def test_a_student_of_timms_loads_where_this_package_is_not(name: str, trial_data: TrialData, tmp_path: Path) -> None:
    student = build_student(name, 3, 1, 8).eval()
    weights_path, json_path = export_model(student, trial_data, tmp_path / "models", "best1", meta={})
    images = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        expected = student.net(images)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(weights_path, elsewhere)
    torch.save(images, elsewhere / "images.pt")
    blocked = ["import sys", *(f"sys.modules[{package!r}] = None" for package in ("trainables", "study", "analysis"))]
    answer = "torch.save(net(torch.load('images.pt', weights_only=True)).detach(), 'found.pt')"
    lines = [*blocked, *json.loads(json_path.read_text())["load"], "import torch", answer]
    run = subprocess.run(
        [sys.executable, "-I", "-c", "\n".join(lines)], cwd=elsewhere, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    torch.testing.assert_close(torch.load(elsewhere / "found.pt", weights_only=True), expected)


@pytest.mark.parametrize("cosine_scale", [0.0, 30.0], ids=["linear", "cosine"])
@pytest.mark.parametrize(
    ("name", "imports_ours"), [("resnet8_cifar", True), ("resnet18", False), ("mobilenetv3_small_050", False)]
)
def test_the_written_lines_rebuild_the_model(
    name: str,
    imports_ours: bool,
    cosine_scale: float,
    trial_data: TrialData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    student = build_student(name, 3, 1, 8, cosine_scale=cosine_scale).eval()
    _, json_path = export_model(student, trial_data, tmp_path, "best1", meta={})
    lines = json.loads(json_path.read_text())["load"]
    assert len(lines) <= 5  # an import, the model, its stem, its classifier, its weights
    assert any("trainables" in line for line in lines) == imports_ours
    scope: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    exec("\n".join(lines), scope)
    images = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(scope["net"](images), student.net(images))


def test_a_model_that_names_the_old_module_still_loads(
    trial_data: TrialData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = build_student("resnet8_cifar", 3, 1, 8).eval()
    _, json_path = export_model(student, trial_data, tmp_path, "best1", meta={})
    new, old = "trainables.cckd.students.timm_models", "trainables.cckd.cifar_resnets"
    about = json.loads(json_path.read_text().replace(new, old))
    assert old in about["load"][0]
    assert import_module(about["timm_module"]).CifarResNet is type(student.net)
    scope: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    exec("\n".join(about["load"]), scope)
    images = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(scope["net"](images), student.net(images))
