"""How many cores this process may use, by affinity, by quotas of control groups of both kinds, and by SLURM."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from study.execution.workers import Workers
from study.planning import cores
from study.planning.cores import Cores, allotted_cores, cores_fault, share_faults

N_MACHINE = 16


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of 16 cores without limits; its control groups lie in a folder of the test."""
    monkeypatch.setattr(os, "cpu_count", lambda: N_MACHINE)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(N_MACHINE)))
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    monkeypatch.setattr(cores, "_CGROUPS", tmp_path)
    _groups(monkeypatch, tmp_path, "0::/\n")
    return tmp_path


def _groups(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    (folder / "of_self").write_text(text)
    real = Path.read_text

    def read_text(path: Path) -> str:
        return real(folder / "of_self" if str(path) == "/proc/self/cgroup" else path)

    monkeypatch.setattr(Path, "read_text", read_text)


def test_without_limits_it_is_the_machine() -> None:
    assert allotted_cores() == Cores(N_MACHINE, "")


def test_a_process_that_is_bound_to_cores_has_those(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert allotted_cores() == Cores(1, "CPU affinity (taskset, cpuset)")


@pytest.mark.parametrize(
    ("text", "n"),
    [("400000 100000", 4), ("250000 100000", 2), ("50000 100000", 1), ("max 100000", N_MACHINE), ("", N_MACHINE)],
)
def test_a_quota_counts_in_whole_cores(machine: Path, text: str, n: int) -> None:
    (machine / "cpu.max").write_text(text)
    assert allotted_cores().n == n


def test_the_tightest_group_above_the_process_counts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _groups(monkeypatch, machine, "0::/pod/box\n")
    for folder, quota in (("pod/box", "900000"), ("pod", "300000"), ("", "max")):
        (machine / folder).mkdir(parents=True, exist_ok=True)
        (machine / folder / "cpu.max").write_text(f"{quota} 100000")
    assert allotted_cores() == Cores(3, "the control group's quota")


@pytest.mark.parametrize(("quota", "n"), [("200000", 2), ("-1", N_MACHINE)])
def test_groups_of_version_1_are_read_too(machine: Path, monkeypatch: pytest.MonkeyPatch, quota: str, n: int) -> None:
    _groups(monkeypatch, machine, "4:memory:/x\n3:cpu,cpuacct:/docker/abc\n")
    (machine / "cpu").mkdir()
    (machine / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (machine / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert allotted_cores().n == n


@pytest.mark.parametrize(("told", "n"), [("3", 3), ("0", N_MACHINE), ("4(x2)", N_MACHINE), ("99", N_MACHINE)])
def test_slurm_says_how_many_cores_the_job_has(monkeypatch: pytest.MonkeyPatch, told: str, n: int) -> None:
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", told)
    assert allotted_cores().n == n


def test_a_machine_without_control_groups_has_no_quota(machine: Path) -> None:
    (machine / "of_self").unlink()
    assert allotted_cores() == Cores(N_MACHINE, "")


@pytest.mark.parametrize(
    ("cpus", "together", "limited_by", "told"),
    [
        (64.0, 1, "", "--cpus-per-trial must be at most 16, the cores of this machine; got 64; "),
        (16.5, 1, "", "--cpus-per-trial must be at most 16, the cores of this machine; got 16.5; "),
        (3.0, 1, "SLURM", "--cpus-per-trial must be at most 2, what SLURM allots of this machine; got 3; "),
        (
            1.0,
            17,
            "",
            "--cpus-per-trial times --trials-per-process must be at most 16, the cores of this machine; got 1 ",
        ),
        (
            0.4,
            49,
            "",
            "--cpus-per-trial times --trials-per-process must be at most 16, the cores of this machine; got 0",
        ),
    ],
)
def test_a_trial_that_fits_no_core_here_is_refused_and_on_a_cluster_it_is_not(
    monkeypatch: pytest.MonkeyPatch, cpus: float, together: int, limited_by: str, told: str
) -> None:
    if limited_by:
        monkeypatch.setenv("SLURM_CPUS_ON_NODE", "2")
    fault = cores_fault(_plan(cpus, together))
    assert fault is not None
    assert fault.startswith(told)
    assert cores_fault(_plan(cpus, together, address="auto")) is None


@pytest.mark.parametrize(("cpus", "together"), [(16.0, 1), (1.0, 16), (0.25, 64), (16 / 49, 49), (0.0, 500)])
def test_a_trial_that_fits_the_cores_exactly_is_not_refused(cpus: float, together: int) -> None:
    plan = _plan(cpus, together)
    assert cores_fault(plan) is None
    if cpus:
        roster: Any = SimpleNamespace(usable=lambda: {"here": {"CPU": float(N_MACHINE)}})
        assert Workers(n_workers=0, roster=roster).at_once(plan) >= together, "so Ray's session counts"


def _plan(cpus: float, together: int, *, address: str = "local", gpus: float = 0.0) -> Any:
    shares = {"cpus_per_trial": cpus, "gpus_per_trial": gpus, "trials_per_process": together}
    return SimpleNamespace(**shares, address=address, max_concurrent=None)


@pytest.mark.parametrize(
    ("cpus", "gpus", "n_faults"),
    [
        (0.1, 0.0, 0),
        (0.0999, 0.0, 1),
        (1e-7, 0.0, 1),
        (0.0, 0.001, 0),
        (1.0, 1 / 49, 0),
        (1e-4, 9e-4, 2),
        (0.0, 1e-7, 1),
    ],
)
def test_a_share_of_a_core_or_a_gpu_that_only_fills_the_memory_is_refused(cpus: float, gpus: float, n_faults) -> None:
    assert len(share_faults(_plan(cpus, 1, gpus=gpus))) == n_faults
