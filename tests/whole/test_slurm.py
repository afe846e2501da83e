"""The SLURM recipe runs a study on two nodes, hands over before its time limit, and goes on when it is queued again."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.commands import ROOT, SEARCH_ONLY
from tests.whole.whole import SMOKE, Study

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

_MARK = "CCKD_SLURM_JOB"
_JOB = "4711"


class Job:
    """The recipe as a batch job of two nodes that are both this machine."""

    def __init__(self, folder: Path, ray_folder: str) -> None:
        programs, self.requeued, self.out = folder / "bin", folder / "requeued", folder / "runs"
        programs.mkdir()
        stand_in = (ROOT / "tests" / "support" / "slurm_stand_in.py").read_text()
        for name in ("srun", "scontrol"):
            (programs / name).write_text(f"#!{sys.executable}\n{stand_in}")
        (programs / "ray").write_text(f"#!{sys.executable}\nfrom ray.scripts.scripts import main\nmain()\n")
        (programs / "activate").write_text(f'export PATH="{programs}:$PATH"\n')
        (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        for name in ("srun", "scontrol", "ray", "python"):
            (programs / name).chmod(0o755)
        self.mark = uuid4().hex
        self._environment = {
            "SLURM_JOB_ID": _JOB, "SLURM_JOB_NODELIST": "localhost,localhost", "SLURM_CPUS_PER_TASK": "1",
            "SLURM_STAND_IN_REQUEUED": str(self.requeued), "CCKD_VENV": str(folder), "CCKD_OUT": str(self.out),
            "RAY_TMPDIR": ray_folder, _MARK: self.mark,
        }  # fmt: skip
        self.study = self.out / f"slurm-{_JOB}"

    def start(self, *flags: str) -> "subprocess.Popen[str]":
        """Start the job, as SLURM does when it is first in the queue."""
        return subprocess.Popen(
            ["bash", str(ROOT / "examples" / "slurm.sbatch"), *flags],
            cwd=ROOT, env=os.environ | self._environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def pids(self) -> list[int]:
        """All of its live processes."""
        found, wanted = [], f"{_MARK}={self.mark}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    ray_folder = tempfile.mkdtemp(dir="/tmp")  # a short path: sockets lie in it
    made = Job(tmp_path, ray_folder)
    try:
        yield made
    finally:
        for pid in made.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(ray_folder, ignore_errors=True)


def test_a_job_near_its_limit_saves_is_queued_again_and_goes_on(job: Job, tmp_path: Path) -> None:
    flags = (*SMOKE, "--trials", "3", "--epochs", "40", *SEARCH_ONLY, "--data-root", str(tmp_path / "data"))
    first = job.start(*flags)
    limit = time.monotonic() + 240
    while not list((job.study / "checkpoints").glob("*/1/checkpoint.json")):
        assert first.poll() is None, first.communicate()[0]
        assert time.monotonic() < limit
        time.sleep(0.1)
    os.kill(first.pid, signal.SIGUSR1)
    said = first.communicate(timeout=120)[0]
    assert first.returncode == 130, said
    assert "interrupted; nothing is lost" in said
    assert job.requeued.read_text() == f"{_JOB}\n"
    assert _none_left(job)

    second = job.start(*flags)
    said = second.communicate(timeout=300)[0]
    assert second.returncode == 0, said
    assert job.requeued.read_text() == f"{_JOB}\n", "a study that is done is not queued again"
    found = Study(job.study, None)  # type: ignore[arg-type]
    assert [(row["state"], row["epochs"]) for row in found.csv("trials.csv")] == [("COMPLETE", "40")] * 3
    assert len(found.manifest["starts"]) == 2
    assert "2" in {row["attempts"] for row in found.csv("trials.csv")}, "a trial went on from its checkpoint"
    assert len(found.manifest["nodes"]) == 2
    assert _none_left(job)


def _none_left(job: Job) -> bool:
    """Whether the job's processes end on both nodes, within a minute."""
    limit = time.monotonic() + 60
    while job.pids() and time.monotonic() < limit:
        time.sleep(0.2)
    return not job.pids()
