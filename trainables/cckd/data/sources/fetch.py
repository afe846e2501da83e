"""Ways to download a published set: torchvision's mirrors, and Debian's archive without being root.

Each works in a temporary folder and moves whole files into place at the end, so a broken download leaves nothing
behind. Each runs in its own process group with a time limit, so a dead network costs seconds, not minutes.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_CONNECT_S = 10


@dataclass(frozen=True)
class Fetcher:
    """Commands that run in order in an empty folder; their files are then moved under the data root.

    Attributes:
        label: name of this way in messages.
        commands: programs with their arguments.
        result: folder of the files afterwards, relative to the empty folder.
        target: folder to move them to, relative to the data root.
        names: the files.
        limit_s: time limit of each command, seconds.
    """

    label: str
    commands: tuple[tuple[str, ...], ...]
    result: Path
    target: Path
    names: tuple[str, ...]
    limit_s: float = 180.0  # 30 MB over a slow line

    def fetch(self, data_root: Path) -> Path:
        """Put the files under `data_root` and return their folder.

        Raises:
            OSError: no such program, no network, the time limit, or a missing file; the message is one line.
        """
        data_root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=data_root) as folder:
            for command in self.commands:
                _run(command, Path(folder), limit_s=self.limit_s)
            absent = [name for name in self.names if not (Path(folder) / self.result / name).is_file()]
            if absent:
                raise OSError(f"it brought no {', '.join(absent)}")
            (data_root / self.target).mkdir(parents=True, exist_ok=True)
            for name in self.names:
                os.replace(Path(folder) / self.result / name, data_root / self.target / name)
        return data_root / self.target


def torchvision_fetcher(data_set: str, folder: Path, names: Sequence[str], *, limit_s: float) -> Fetcher:
    """Return torchvision's download of one of its classes, into the folder where torchvision keeps it."""
    # It runs in its own process: torchvision sets no time-out, prints, and would load torch into this process.
    code = (
        f"import socket; socket.setdefaulttimeout({_CONNECT_S}); "
        f"from torchvision.datasets import {data_set}; {data_set}('.', download=True)"
    )
    return Fetcher(
        label="torchvision's download",
        commands=((sys.executable, "-c", code),),
        result=folder,
        target=folder,
        names=tuple(names),
        limit_s=limit_s,
    )


def debian_fetcher(package: str, unpacked: Path, folder: Path, names: Sequence[str]) -> Fetcher:
    """Return `apt-get download` of a data package, unpacked without root rights."""
    options = ("-o", f"Acquire::http::Timeout={_CONNECT_S}", "-o", "Acquire::Retries=0")
    return Fetcher(
        label=f"apt-get download {package}",
        commands=(
            ("apt-get", *options, "download", package),
            ("sh", "-c", f"dpkg -x {package}_*.deb unpacked"),
        ),
        result=Path("unpacked") / unpacked,
        target=folder,
        names=tuple(names),
    )


def _run(command: Sequence[str], folder: Path, *, limit_s: float) -> None:
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
            if process.poll() is None:  # after the time limit or Ctrl-C: end its child processes too
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if status != 0:
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").strip().splitlines()
            raise OSError(f"{Path(command[0]).name} ended with status {status}: {lines[-1] if lines else 'no message'}")
