"""The diffs of docs/extending.md apply, touch as few files as they promise, and work in a whole study."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole.whole import TEACHER

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("study", "trainables", "search_spaces", "analysis")

#: What each addition may touch at most.
PROMISED = {
    "A knob": 4,
    "A rung of the ladder": 4,
    "A sampler": 1,
    "A flag": 2,
    "A data set": 2,
    "A figure": 3,
}


def diffs() -> dict[str, str]:
    """Heading of a section -> its diff."""
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    found = re.findall(r"^## (.+?) \(\d files?\)$.*?^```diff\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return dict(found)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the product code."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / "code" / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "code"


def apply(diff: str, folder: Path) -> set[str]:
    """Apply a diff to the code in `folder`; return the files it touches."""
    subprocess.run(["git", "apply", "-"], input=diff, text=True, cwd=folder, check=True)
    return set(re.findall(r"^\+\+\+ b/(.+)$", diff, re.MULTILINE))


def run(folder: Path, *command: str) -> str:
    """Run Python on the code in `folder`; return what it printed."""
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_page_has_a_diff_for_each_kind_of_addition() -> None:
    assert set(diffs()) == set(PROMISED)


@pytest.mark.parametrize("kind", PROMISED)
def test_a_diff_applies_and_touches_no_more_files_than_promised(kind: str, copy: Path) -> None:
    assert len(apply(diffs()[kind], copy)) <= PROMISED[kind]
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {kind} \({PROMISED[kind]} files?\)$", page, re.MULTILINE)


def test_knob_flag_and_data_set_are_known_to_the_command(copy: Path) -> None:
    for kind in ("A knob", "A flag", "A data set"):
        apply(diffs()[kind], copy)
    assert "--tables-every S" in run(copy, "-m", "study.run", "--help")
    shown = run(copy, "-m", "study.run", "--dry-run", "--data", "stripes_lt", "--tables-every", "9")
    assert "label_smoothing" in shown
    assert "stripes_lt" in shown


@pytest.mark.slow
def test_a_rung_a_sampler_and_a_figure_take_part_in_a_study(copy: Path, tmp_path: Path, data_root: Path) -> None:
    for kind in ("A rung of the ladder", "A sampler", "A figure"):
        apply(diffs()[kind], copy)
    run(
        copy,
        *(
            "-m",
            "study.run",
            "--space",
            "matching",
            "--sampler",
            "halton",
            "--data",
            "digits_lt",
            "--recipe",
            "quick",
            *TEACHER,
        ),
        *("--trials", "3", "--epochs", "4", "--finalists", "0"),
        *("--confirm-seeds", "1", "--long-seeds", "0", "--ablation-seeds", "0", "--max-concurrent", "1"),
        *("--data-root", str(data_root), "--out", str(tmp_path), "--name", "extended"),
    )
    folder = tmp_path / "extended"
    with (folder / "confirm.csv").open(newline="") as file:
        entries = [row["entry"] for row in csv.DictReader(file)]
    rungs = [entry for entry in dict.fromkeys(entries) if entry not in ("teacher", "best1")]
    assert rungs == ["acckd", "acckd_no_fi", "cckd", "matching", "kd", "la", "ce"], "the costly ones are trained first"
    with (folder / "trials.csv").open(newline="") as file:
        weights = {row["config/matching_weight"] for row in csv.DictReader(file)}
    assert len(weights) == 3
    report = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert "matching" in report
    assert (folder / "report" / "tables" / "epochs_reached.csv").is_file()
