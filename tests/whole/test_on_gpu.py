"""The script for a card runs on the CPU at its smallest, so that it does not rot between two cards."""

import json
import os
import signal
import subprocess
import sys
import time
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
    for what in ("== mps: there is no", "baselines: need a card"):
        assert what in ended.stdout
    (fitted,) = (line for line in ended.stdout.splitlines() if line.startswith("means "))
    assert "balanced accuracy" in fitted


def test_a_step_that_fails_is_told_and_ends_no_other_step(tmp_path: Path) -> None:
    ended = _script(tmp_path, python="false")
    assert ended.returncode == 1
    assert [line.partition(": ")[2] for line in ended.stdout.splitlines() if line.startswith("failed: ")] == [
        *("tests", "epoch of digits_lt", "digits_lt by processes", "digits_lt by threads", "probe's fit")
    ]


def _executable(path: Path, lines: str) -> Path:
    path.write_text(f"#!/bin/bash\n{lines}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_mps_daemon_and_its_folders_go_at_the_end_and_on_ctrl_c(interrupted: bool, tmp_path: Path) -> None:
    told, reached, temporary = tmp_path / "told", tmp_path / "reached", tmp_path / "temporary"
    temporary.mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    here = '[ -d "$CUDA_MPS_PIPE_DIRECTORY" ] && [ -d "$CUDA_MPS_LOG_DIRECTORY" ]'
    _executable(tools / "nvidia-cuda-mps-control", f'{here} && echo "${{1:-$(cat)}}" >> {told}')
    work = f"touch {reached}; sleep 60" if interrupted else f"touch {reached}"
    python = _executable(tmp_path / "python", f'case "$*" in *"--by mps"*) {work};; esac')
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "TMPDIR": str(temporary)}
    environment |= {"PYTHON": str(python), "DATA_ROOT": str(tmp_path / "none")}
    script = subprocess.Popen(
        ["bash", str(ROOT / "benchmarks" / "on_gpu.sh")],
        env=environment, stdout=subprocess.DEVNULL, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    limit = time.monotonic() + 60
    while not reached.exists() and time.monotonic() < limit:
        time.sleep(0.05)
    if interrupted:
        os.killpg(script.pid, signal.SIGINT)
    assert script.wait(60) == (-signal.SIGINT if interrupted else 0)
    assert told.read_text().splitlines() == ["-d", "quit"]
    assert [*temporary.iterdir()] == []
