"""Another user of this machine, as a container has it: a uid without a passwd entry, started by root."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: A uid that no passwd file names.
UID = 54321


def run_as_other(argv: Sequence[str], environment: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with `argv` as the user UID, with `environment` and no other variables but those that it needs.

    The interpreter of a virtual environment may lie in root's home folder. Another one of the same version then runs
    with the packages of this environment.
    """
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    needed = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join([str(ROOT), packages])}
    for python in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        if _succeeds([python, "-c", "import encodings, study.schema, numpy, subprocess, sys; " + _AGAIN], needed, cwd):
            return _run([python, *argv], needed | environment, cwd)
    pytest.skip("no Python of this version can be started by another user")


#: What a study does too: an interpreter starts itself.
_AGAIN = "subprocess.run([sys.executable, '-c', ''], check=True)"


def _succeeds(command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> bool:
    try:
        return _run(command, environment, cwd).returncode == 0
    except OSError:
        return False


def _run(command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=dict(environment), user=UID, group=UID, extra_groups=[], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
