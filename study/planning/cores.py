"""The processor cores that this process may use, which can be fewer than the machine has.

`taskset` and SLURM bind a process to some cores, a container's quota gives it a share of them. Ray counts the machine's
cores or the container's quota, so that two trials would take turns on the one core of `taskset -c 0`.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

#: Where Linux mounts its control groups.
_CGROUPS = Path("/sys/fs/cgroup")


class Cores(NamedTuple):
    """A number of cores, and what limits it: '' where nothing does."""

    n: int
    limited_by: str


def allotted_cores() -> Cores:
    """Return the whole cores that this process may use, at least one."""
    found = [Cores(len(os.sched_getaffinity(0)), "CPU affinity (taskset, cpuset)")]
    found += [Cores(max(1, math.floor(quota)), "the control group's quota") for quota in _quotas()]
    told = os.environ.get("SLURM_CPUS_ON_NODE", "")
    if told.isdecimal() and int(told):
        found.append(Cores(int(told), "SLURM"))
    least, machine = min(found), os.cpu_count() or 1
    return least if least.n < machine else Cores(machine, "")


def image_workers() -> int:
    """Return how many workers decode image files at a time before the first trial, for an image store for instance.

    Only the driver's node does so: one worker per core here, however many cores a trial takes, and however many trials
    a cluster runs.
    """
    return allotted_cores().n


def _quotas() -> Iterator[float]:
    """Yield the cores' worth of time that each control group above this process has, of version 2 and of version 1."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from filter(None, map(_of_version_2, _upwards(_CGROUPS, path)))
        elif "cpu" in controllers.split(","):
            yield from filter(None, map(_of_version_1, _upwards(_CGROUPS / "cpu", path)))


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """Yield the folder of a control group and those above it; in a container only the mount itself may exist."""
    folder = mount / path.lstrip("/")
    yield from (one for one in (folder, *folder.parents) if one.is_relative_to(mount))


def _of_version_2(folder: Path) -> float | None:
    quota, period = _words(folder / "cpu.max", 2)
    return float(quota) / float(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _of_version_1(folder: Path) -> float | None:
    (quota,), (period,) = _words(folder / "cpu.cfs_quota_us", 1), _words(folder / "cpu.cfs_period_us", 1)
    return float(quota) / float(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _words(path: Path, n: int) -> list[str]:
    """Return the first `n` words of a file; empty ones where it cannot be read."""
    try:
        words = path.read_text().split()
    except OSError:
        words = []
    return [*words, *[""] * n][:n]
