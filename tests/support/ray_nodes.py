"""Ray nodes of one cluster on this machine, started by `ray start` as on machines of their own, and killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

#: Every process of a node carries this in its environment.
_MARK = "CCKD_RAY_NODE"


class RayNode:
    """One node: the processes that one `ray start` has left running."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        self._mark = uuid4().hex
        started = subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", "start", "--disable-usage-stats", *arguments],
            env={**os.environ, **environment, _MARK: self._mark}, capture_output=True, text=True, timeout=180,
        )  # fmt: skip
        assert started.returncode == 0, started.stdout + started.stderr

    def pids(self) -> list[int]:
        """Its live processes."""
        found, wanted = [], f"{_MARK}={self._mark}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def kill(self) -> None:
        """SIGKILL to all of its processes, as when its machine loses its power."""
        limit = time.monotonic() + 60
        while (pids := self.pids()) and time.monotonic() < limit:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        assert not self.pids()


class RayNodes:
    """A cluster whose nodes share this machine.

    Attributes:
        address: of its head.
        environment: what a driver on its head has: the token and the folder in which `--address auto` looks.
        head: the head node.
    """

    def __init__(self, folder: str, head: tuple[str, ...]) -> None:
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
            "RAY_TMPDIR": folder,
        }
        self.address = f"127.0.0.1:{free_port()}"
        self._nodes: list[RayNode] = []
        port = self.address.partition(":")[2]
        self.head = self._start("--head", f"--port={port}", *head)

    def add(self, *arguments: str, **environment: str) -> RayNode:
        """Start one more node, of one CPU.

        It has a folder of its own, as on a machine of its own: a node that starts clears what it finds in its folder.
        """
        folder = tempfile.mkdtemp(dir=self.environment["RAY_TMPDIR"])
        return self._start(f"--address={self.address}", f"--temp-dir={folder}", *arguments, **environment)

    def kill(self) -> None:
        """Kill every node, the head last."""
        for node in reversed(self._nodes):
            node.kill()

    def _start(self, *arguments: str, **environment: str) -> RayNode:
        ports = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port")
        own = [*(f"--{name}={free_port()}" for name in ports), "--num-cpus=1", "--object-store-memory=200000000"]
        node = RayNode([*own, *arguments], {**self.environment, **environment})
        self._nodes.append(node)
        return node


@contextmanager
def ray_nodes(*head: str) -> Iterator[RayNodes]:
    """Start the head of a cluster with a token; `head` are further arguments of its `ray start`."""
    folder = tempfile.mkdtemp(dir="/tmp")  # a short path: sockets lie in it
    nodes = RayNodes(folder, head)
    try:
        yield nodes
    finally:
        nodes.kill()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
