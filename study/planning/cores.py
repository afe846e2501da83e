"""The processor cores that this process may use, which can be fewer than the machine has.

`taskset` and SLURM bind a process to some cores, a container's quota gives it a share of them. Ray counts the machine's
cores or the container's quota, so that two trials would take turns on the one core of `taskset -c 0`.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from study.planning.plan import LOCAL, StudyPlan

#: Where Linux mounts its control groups.
_CGROUPS = Path("/sys/fs/cgroup")

#: The least shares of a core and of a GPU that a new study may give a trial. Each trial has a student and a batch in
#: memory, and mostly a process with torch, so that more of them would fill the memory and not the core.
_LEAST_CORE, _LEAST_GPU = 0.1, 0.001


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


def share_faults(plan: StudyPlan) -> list[str]:
    """Return what is wrong with the shares of a core and of a GPU that a new study gives a trial, on any machine.

    Without a share of a core, trials are counted by their GPUs alone.
    """
    or_none = ", or 0" if plan.gpus_per_trial else ""
    shares = [
        ("--cpus-per-trial", plan.cpus_per_trial, _LEAST_CORE, or_none, "core"),
        ("--gpus-per-trial", plan.gpus_per_trial, _LEAST_GPU, "", "GPU"),
    ]
    return [
        f"{flag} must be at least {least}{or_none}, for at most {1 / least:g} trials share a {what}; got {share:g}"
        for flag, share, least, or_none, what in shares
        if 0 < share < least
    ]


def cores_fault(plan: StudyPlan) -> str | None:
    """Return what is wrong where no trial fits the cores of this machine; None where one does, and for a cluster.

    Trials that share a process start together.
    """
    cpus, together, cores = plan.cpus_per_trial, plan.trials_per_process, allotted_cores()
    if plan.address != LOCAL or not cpus or math.floor(cores.n / cpus) >= together:
        return None
    flags, got = "--cpus-per-trial", f"{cpus:g}"
    if together > 1:
        flags, got = f"{flags} times --trials-per-process", f"{got} times {together}"
    here = f"what {cores.limited_by} allots of" if cores.limited_by else "the cores of"
    return (
        f"{flags} must be at most {cores.n}, {here} this machine; got {got}; a larger one is for a cluster (--address)"
    )


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
