"""The script for a card runs on the CPU at its smallest, so that it does not rot between two cards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def _script(results: Path, *, python: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"CCKD_RESULTS": str(results), "PYTHON": python, "DATA_ROOT": str(results / "none")}
    command = ["bash", str(ROOT / "benchmarks" / "on_gpu.sh"), "--tiny"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def test_every_step_runs_and_leaves_its_result(tmp_path: Path) -> None:
    ended = _script(tmp_path, python=sys.executable)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert [line for line in ended.stdout.splitlines() if line.startswith("failed")] == []
    kinds = {path.name.split("-digits_lt")[0] for path in tmp_path.glob("*.json")}
    assert kinds == {"epoch", "sharing"}
    ways = {json.loads(path.read_text())["raw"]["by"] for path in tmp_path.glob("sharing-*.json")}
    assert ways == {"processes", "threads"}
    for what in ("means", "mps", "baselines: need a card"):
        assert what in ended.stdout


def test_a_step_that_fails_is_told_and_ends_no_other_step(tmp_path: Path) -> None:
    ended = _script(tmp_path, python="false")
    assert ended.returncode == 1
    assert [line.partition(": ")[2] for line in ended.stdout.splitlines() if line.startswith("failed: ")] == [
        *("tests", "epoch of digits_lt", "digits_lt by processes", "digits_lt by threads", "probe's fit")
    ]
