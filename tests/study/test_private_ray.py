"""The Ray of a study without --address: reachable from this machine only, and never one that was there before."""

import ipaddress
import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
_MARK = "CCKD_TEST_RAY"

#: Holds a private Ray with a busy worker until its standard input is closed.
HOLD = """
import sys
from types import SimpleNamespace
from study.execution.tuner import ray_session
with ray_session(SimpleNamespace(address="local", verbose=False, cpus_per_trial=1.0, gpus_per_trial=0.0,
                                 max_concurrent=None, trials_per_process=1)) as workers:
    import ray
    ray.get(ray.remote(num_cpus=1)(lambda: 1).remote())
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
"""


def test_a_private_ray_listens_on_loopback_only_and_joins_nothing(tmp_path: Path) -> None:
    mark = uuid4().hex
    # An address such as `ray job submit` sets, of a cluster that is no more.
    environment = os.environ | {_MARK: mark, "RAY_ADDRESS": "127.0.0.1:9"}
    driver = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert driver.stdout is not None
        address = driver.stdout.readline().strip()
        assert address.startswith("127.0.0.1:"), address
        time.sleep(3)  # for the agents that Ray starts in the background
        found = _listening(f"{_MARK}={mark}".encode())
    finally:
        _, error = driver.communicate("", timeout=60)
    assert driver.returncode == 0, error
    assert len(found) >= 3, "Ray's servers are among what was looked at"
    assert [where for where in found if not where.is_loopback] == []


def _listening(mark: bytes) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Addresses on which processes with `mark` in their environment listen; TCP, both families."""
    sockets: dict[str, ipaddress.IPv4Address | ipaddress.IPv6Address] = {}
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                sockets[f"socket:[{words[9]}]"] = _address(words[1].partition(":")[0])
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found += [sockets[link] for fd in (folder / "fd").iterdir() if (link := _link(fd)) in sockets]
        except OSError:  # it has ended meanwhile
            continue
    return found


def _link(fd: Path) -> str:
    try:
        return os.readlink(fd)
    except OSError:
        return ""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The kernel writes each word of four bytes in this machine's order."""
    packed = b"".join(int(text[k : k + 8], 16).to_bytes(4, sys.byteorder) for k in range(0, len(text), 8))
    address = ipaddress.ip_address(packed)
    return getattr(address, "ipv4_mapped", None) or address
