"""The paper's kind of teacher, really run without a network: a small ViT whose head projects images to an embedding.

Its weights and the embeddings of the classes come from files, as those of CLIP would. Reference numbers come from
timm's model and numpy alone.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from torch.nn.functional import interpolate

from tests.whole.whole import Start, Study
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.spec import parse_data

pytestmark = pytest.mark.slow

MODEL, SIZE, WIDTH, SCALE = "test_vit", 32, 24, 30.0
FORMS = ("zero_shot", "ncm", "linear_probe")

#: The zero-shot teacher goes the whole way and also judges mixed images, so that its projection runs in the trials. The
#: fitted ones have the same features; they go from the pass over a trial to the report.
WHOLE = ("--trials", "2", "--epochs", "2", "--confirm-seeds", "1", "--ladder", "acckd", "--set", "mix_targets=forward")
SHORT = ("--trials", "1", "--epochs", "1", "--confirm-seeds", "0")


class _Teacher:
    """The model, its files, and what they predict by numpy."""

    def __init__(self, folder: Path, data: LongTailData) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self._network = timm.create_model(MODEL, num_classes=WIDTH, img_size=SIZE).eval()
        self.weights, self.embeddings = folder / "vit.safetensors", folder / "classes.safetensors"
        save_file(self._network.state_dict(), self.weights)
        # What a text tower would have learnt: a class's embedding lies where its images are projected to.
        images, labels = data.train.images, data.train.labels
        placed = self._embed(images)
        self._classes = np.stack(
            [_unit(placed[labels == label]).mean(axis=0) for label in range(len(data.class_names))]
        )
        arrays = {"embeddings": self._classes.astype(np.float32), "logit_scale": np.array(SCALE, np.float32)}
        save_arrays(arrays, self.embeddings, {"class_names": json.dumps(data.class_names)})

    def flags(self, form: str) -> list[str]:
        """The flags of a study with this teacher."""
        flags = ["--teacher", MODEL, "--teacher-weights", str(self.weights), "--teacher-size", str(SIZE)]
        flags += ["--teacher-views", "2", "--teacher-form", form]
        return [*flags, "--teacher-embeddings", str(self.embeddings)] if form == "zero_shot" else flags

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Scaled cosines of images and classes, float64 (N, C)."""
        return SCALE * _unit(self._embed(images)) @ _unit(self._classes).T

    def _embed(self, images: np.ndarray) -> np.ndarray:
        recipe = self._network.pretrained_cfg
        large = interpolate(torch.from_numpy(images).float(), (SIZE, SIZE), mode=recipe["interpolation"]).clamp(0, 255)
        pixels = large.expand(-1, 3, -1, -1) / 255
        mean, std = (torch.tensor(recipe[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
        with torch.no_grad():
            return self._network((pixels - mean) / std).double().numpy()


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LongTailData:
    return load_data(parse_data("digits_lt"), data_root=tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def teacher(data: LongTailData, tmp_path_factory: pytest.TempPathFactory) -> _Teacher:
    return _Teacher(tmp_path_factory.mktemp("teacher"), data)


@pytest.fixture(scope="module")
def studies(run_alone: Start, teacher: _Teacher) -> dict[str, Study]:
    found = {}
    for form in FORMS:
        budget = (*(WHOLE if form == "zero_shot" else SHORT), "--long-seeds", "0", "--ablation-seeds", "0")
        what = ("--space", "acckd_smoke", "--data", "digits_lt", "--finalists", "0", *budget, "--max-concurrent", "1")
        path, command = run_alone(form, *what, *teacher.flags(form))
        found[form] = Study(path, command.end())
    return found


@pytest.mark.parametrize("form", FORMS)
def test_a_study_with_this_teacher_runs_from_its_files_to_the_report(
    studies: dict[str, Study], teacher: _Teacher, form: str
) -> None:
    found = studies[form]
    assert (found.ended.code, found.ended.err) == (0, "")
    assert found.manifest["status"] == "done"
    described: dict[str, Any] = found.manifest["teacher"]
    assert (described["name"], described["form"], described["weights"]) == (MODEL, form, str(teacher.weights))
    assert described["embeddings"] == (str(teacher.embeddings) if form == "zero_shot" else None)
    assert described["val_balanced_accuracy"] > 0.2, "by chance it would be 0.1"
    report = (found.path / "report" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert f"{MODEL} as {form}" in report


def test_the_fitted_teachers_read_the_features_that_the_first_study_computed(studies: dict[str, Study]) -> None:
    passes = [studies[form].manifest["teacher"]["forward_passes"] for form in FORMS]
    assert passes[0] > 0
    assert passes[1:] == [0, 0]


def test_the_zero_shot_teacher_predicts_by_the_cosines_that_numpy_computes(
    studies: dict[str, Study], teacher: _Teacher, data: LongTailData
) -> None:
    found = studies["zero_shot"]
    confirmed = {row["entry"]: row for row in found.csv("confirm.csv")}
    assert set(confirmed) == {"acckd", "best1", "kd", "la", "teacher"}
    on_test = {name: float(confirmed["teacher"][name]) for name in ("test_accuracy", "test_ece")}
    # Features are stored in 16 bits, which may turn an answer that is nearly even.
    val, test = (teacher.logits(part.images) for part in (data.val, data.test))
    right = {"val": (val.argmax(axis=1) == data.val.labels).mean(), "test": (test.argmax(1) == data.test.labels).mean()}
    assert found.manifest["teacher"]["val_accuracy"] == pytest.approx(float(right["val"]), abs=0.01)
    assert on_test["test_accuracy"] == pytest.approx(float(right["test"]), abs=0.01)
    exponentials = np.exp(test - test.max(axis=1, keepdims=True))
    confidence = float((1 / exponentials.sum(axis=1)).mean())
    assert on_test["test_ece"] >= abs(confidence - right["test"]) - 0.01, "no bin can hide the gap between the means"
