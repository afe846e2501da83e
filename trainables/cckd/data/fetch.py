"""Two ways to download Fashion-MNIST: torchvision's mirror, and Debian's archive without being root.

Each works in a temporary folder and moves whole files into place at the end, so a broken download leaves
nothing behind; each runs in its own process group with a time limit, so a dead network costs seconds, not
minutes.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Where torchvision keeps the files under its root; both ways put them there.
RAW_FOLDER = Path("FashionMNIST") / "raw"

_CONNECT_S = 10
_TOTAL_S = 180.0  # 30 MB over a slow line


@dataclass(frozen=True)
class Fetcher:
    """Commands run in order in an empty folder, after which the files lie in `result` under that folder."""

    label: str
    commands: tuple[tuple[str, ...], ...]
    result: Path

    def fetch(self, data_root: Path, names: Sequence[str]) -> None:
        """Put the files `names` into RAW_FOLDER under `data_root`.

        Raises:
            OSError: no such program, no network, time over, or a file missing afterwards; the message is one
                line.
        """
        data_root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=data_root) as folder:
            for command in self.commands:
                _run(command, Path(folder))
            absent = [name for name in names if not (Path(folder) / self.result / name).is_file()]
            if absent:
                raise OSError(f"it brought no {', '.join(absent)}")
            (data_root / RAW_FOLDER).mkdir(parents=True, exist_ok=True)
            for name in names:
                os.replace(Path(folder) / self.result / name, data_root / RAW_FOLDER / name)


# A process of its own: torchvision sets no time-out, prints, and would bring torch into the caller.
TORCHVISION = Fetcher(
    label="torchvision's download",
    commands=(
        (
            sys.executable,
            "-c",
            f"import socket; socket.setdefaulttimeout({_CONNECT_S}); "
            "from torchvision.datasets import FashionMNIST; FashionMNIST('.', download=True)",
        ),
    ),
    result=RAW_FOLDER,
)

DEBIAN = Fetcher(
    label="apt-get download dataset-fashion-mnist",
    commands=(
        (
            "apt-get",
            *("-o", f"Acquire::http::Timeout={_CONNECT_S}", "-o", "Acquire::Retries=0"),
            *("download", "dataset-fashion-mnist"),
        ),
        ("sh", "-c", "dpkg -x dataset-fashion-mnist_*.deb unpacked"),
    ),
    result=Path("unpacked/usr/share/datasets/fashion-mnist"),
)


def _run(command: Sequence[str], folder: Path, *, limit_s: float = _TOTAL_S) -> None:
    """Run `command` in `folder` quietly; raise OSError with the last line it wrote to standard error."""
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            start_new_session=True,
        )
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise OSError(f"{command[0]} took longer than {limit_s:g} s") from None
        finally:
            if process.poll() is None:  # time over, or the user interrupted: take its helpers along
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if status != 0:
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").strip().splitlines()
            raise OSError(f"{Path(command[0]).name} ended with status {status}: {lines[-1] if lines else 'no message'}")
