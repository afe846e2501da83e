"""Class folders 1 2 3 10 11 and a checkpoint that timm trained: one clear error, and a way to state its order."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.run import main
from tests.support.fitted_checkpoint import MODEL, write_fitted

NATURAL = ("1", "2", "3", "10", "11")
SIZE = 32


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """Folders of the five classes, each of a colour, and a checkpoint with its outputs in timm's order."""
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 215, (len(NATURAL), 3))
    trained, outputs = [], []
    for part, n_images in (("train", 12), ("val", 2), ("test", 2)):
        for output, name in enumerate(NATURAL):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for index in range(n_images):
                noisy = (colours[output] + rng.normal(0, 15, (SIZE, SIZE, 3))).clip(0, 255).astype(np.uint8)
                Image.fromarray(noisy).save(folder / f"{index}.png")
                if part == "train":
                    trained.append(noisy.transpose(2, 0, 1))
                    outputs.append(output)
    write_fitted(tmp_path / "timm.safetensors", np.stack(trained), np.array(outputs))
    (tmp_path / "class_map.txt").write_text("".join(f"{name}\n" for name in NATURAL))
    (tmp_path / "wrong.txt").write_text("1\n2\n3\n10\n12\n")
    return tmp_path


def _argv(birds: Path, *flags: str) -> list[str]:
    weights = str(birds / "timm.safetensors")
    teacher = ["--teacher", MODEL, "--teacher-form", "checkpoint", "--teacher-weights", weights, "--teacher-size", "32"]
    data = ["--data", f"image_folder:path={birds},size=32", "--space", "acckd_smoke", "--set", "batch_size=16"]
    return [*data, *teacher, "--student", "resnet8_cifar", "--out", str(birds / "runs"), *flags]


@pytest.mark.parametrize("flags", [(), ("--dry-run",), ("--yes-long",)])
def test_the_wrong_order_is_one_line_that_names_both_and_nothing_is_made(
    birds: Path, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("study.phases.session.begin.begin", lambda *_: pytest.fail("the study was begun"))
    assert main(_argv(birds, *flags)) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert "it names 48 right with classes sorted naturally (1, 2, 3, 10, 11), 0 with (1, 10, 11, 2, 3)" in line
    assert "--teacher-classes" in line
    assert said.out == ""
    assert not (birds / "runs").exists()


@pytest.mark.parametrize("classes", ["natural", "class_map.txt"])
def test_the_order_can_be_stated_by_a_word_or_a_file(
    birds: Path, classes: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(birds)
    assert main(_argv(birds, "--teacher-classes", classes, "--dry-run")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "order 1, 10, 11, 2, 3 in this order; sorted naturally they are 1, 2, 3, 10, 11; the teacher's" in said
    assert "outputs are 1, 2, 3, 10, 11" in said


def test_a_file_of_other_classes_is_refused(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(_argv(birds, "--teacher-classes", str(birds / "wrong.txt"), "--dry-run")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "wrong.txt must name each of the data set's 5 classes once; it lacks 11; no class is called 12" in line
