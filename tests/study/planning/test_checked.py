"""A long scan of image files is watched; a short one says nothing. A step's shape is that of the reference point."""

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from study.planning import checked as module
from study.planning.check import check
from study.planning.checked import watched_load
from study.planning.parser import build_parser
from study.terminal.progress import Progress
from trainables.cckd.precision import StepShape


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("train", "val", "test"):
        for name in ("ant", "bee"):
            (tmp_path / part / name).mkdir(parents=True)
            for index in range(5):
                Image.new("RGB", (9, 7)).save(tmp_path / part / name / f"{index}.png")
    return tmp_path


def _plan(data: str) -> Any:
    return SimpleNamespace(data=data, data_root="/nonexistent", split=None, skip_corrupt=False)


def _load(folder: Path, *, seconds_a_look: float, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("trainables.cckd.data.images.scan._CHUNK", 4)
    monkeypatch.setattr(module.time, "monotonic", _clock(seconds_a_look))
    shown = io.StringIO()
    data = watched_load(_plan(f"image_folder:path={folder}"), Progress(shown))
    assert len(data.train) == 10
    return shown.getvalue().splitlines()


def _clock(step: float) -> Callable[[], float]:
    seconds = iter(range(10_000))
    return lambda: step * next(seconds)


def test_a_long_scan_is_shown_to_its_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _load(folder, seconds_a_look=10.0, monkeypatch=monkeypatch)
    assert lines[-1] == "scan       30/30  image files"
    assert len(lines) > 2


def test_a_short_scan_says_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _load(folder, seconds_a_look=0.01, monkeypatch=monkeypatch) == []


def test_data_without_files_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    watched_load(_plan("digits_lt"), Progress(shown))
    assert shown.getvalue() == ""


_MINE = """name: mine
purpose: Which ratio?
method: kd_mix
trials: 4
knobs:
  mix_ratio: {range: [0.1, 0.8], unit: share, reason: A knob., reference: 0.75}
fixed: {mix_statistics: joint, batch_size: 16}
"""


@pytest.mark.parametrize(
    ("flags", "sets"),
    [
        (("--space", "acckd_full"), (64, 64, "separate")),
        (("--space", "acckd_full", "--recipe", "field"), (32, 32, "separate")),
        (("--space", "acckd_full", "--set", "batch_size=16"), (16, 16, "separate")),
        (("--space", "acckd_full", "--set", "mix_statistics=joint"), (64, 64, "joint")),
        (("--space", "la"), (64, 0, "separate")),
        (("--space", "{mine}"), (16, 48, "joint")),
        (("--space", "{mine}", "--set", "mix_statistics=separate"), (16, 48, "separate")),
    ],
)
def test_the_step_that_is_timed_is_that_of_the_reference_point(
    flags: tuple[str, ...], sets: tuple[int, int, str], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(_MINE)
    named = (flag.format(mine=tmp_path / "mine.yaml") for flag in flags)
    asked = ["--data", "digits_lt", "--recipe", "quick", "--out", str(tmp_path), *named]
    found = check(build_parser().parse_args(asked))
    assert found.step_shape == StepShape("resnet8_cifar", 10, 1, 8, *sets)
