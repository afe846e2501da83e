"""How many trials fit a cluster; and a private Ray can be reached from this machine only and joins no older Ray."""

import ipaddress
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from study.execution.cluster import ClusterError
from study.execution.workers import Workers, _decoders, _workers, fit_threads, load, niceness, threads_of

ROOT = Path(__file__).resolve().parents[3]
_MARK = "CCKD_TEST_RAY"

#: Holds a private Ray with a busy worker until its standard input is closed.
HOLD = """
import sys
from types import SimpleNamespace
from study.execution.workers import ray_session
with ray_session(SimpleNamespace(address="local", verbose=False, cpus_per_trial=1.0, gpus_per_trial=0.0,
                                 max_concurrent=None, trials_per_process=1)) as workers:
    import ray
    ray.get(ray.remote(num_cpus=1)(lambda: 1).remote())
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
"""

#: Prints the niceness that a worker of a private Ray has, and the one that is told.
NICENESS = """
import os
from types import SimpleNamespace
from study.execution.workers import niceness, ray_session
with ray_session(SimpleNamespace(address="local", verbose=False, cpus_per_trial=1.0, gpus_per_trial=0.0,
                                 max_concurrent=None, trials_per_process=1)):
    import ray
    print(ray.get(ray.remote(num_cpus=1)(lambda: os.getpriority(os.PRIO_PROCESS, 0)).remote()), niceness())
"""


@dataclass
class _Plan:
    """The part of a StudyPlan that decides the workers."""

    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    max_concurrent: int | None = None
    trials_per_process: int = 1


@pytest.mark.parametrize(
    ("plan", "nodes", "expected"),
    [
        (_Plan(), [{"CPU": 2.0}], Workers(2)),
        (_Plan(max_concurrent=1), [{"CPU": 8.0}], Workers(1)),
        (_Plan(max_concurrent=9), [{"CPU": 2.0}], Workers(2)),
        (_Plan(cpus_per_trial=4), [{"CPU": 15.0}], Workers(3)),
        (_Plan(cpus_per_trial=0.5), [{"CPU": 2.0}], Workers(4)),
        (_Plan(gpus_per_trial=0.25), [{"CPU": 16.0, "GPU": 1.0}], Workers(4)),
        (_Plan(gpus_per_trial=1), [{"CPU": 2.0, "GPU": 8.0}], Workers(2)),
        (_Plan(), [{"CPU": 2.0}, {"CPU": 4.0}, {}], Workers(6)),
        (_Plan(cpus_per_trial=2), [{"CPU": 3.0}, {"CPU": 3.0}], Workers(2)),
        (_Plan(cpus_per_trial=0, gpus_per_trial=0.5), [{"CPU": 1.0, "GPU": 2.0}], Workers(4)),
        (_Plan(trials_per_process=2), [{"CPU": 5.0}, {"CPU": 1.0}], Workers(4, per_process=2)),
        (_Plan(1, 0.25, None, 4), [{"CPU": 16.0, "GPU": 2.0}], Workers(8, per_process=4)),
        (_Plan(1, 0.25, 3, 4), [{"CPU": 16.0, "GPU": 2.0}], Workers(3, per_process=3)),
        (_Plan(1, 0.25, None, 3), [{"CPU": 16.0, "GPU": 2.0}], Workers(6, per_process=3)),
        (_Plan(1, 0.3, None, 2), [{"CPU": 16.0, "GPU": 2.0}], Workers(4, per_process=2)),
        (_Plan(1, 1 / 49, None, 49), [{"CPU": 64.0, "GPU": 1.0}], Workers(49, per_process=49)),
        (_Plan(1, 0.25, None, 4), [{"CPU": 6.0, "GPU": 2.0}], Workers(4, per_process=4)),
    ],
)
def test_as_many_trials_run_at_once_as_fit_and_were_asked_for(plan, nodes, expected) -> None:
    assert replace(_workers(plan, nodes), decoders=0) == expected


@pytest.mark.parametrize(
    ("gpus", "nodes", "decoders"),
    [
        (1.0, [{"CPU": 16.0, "GPU": 1.0}], 15),
        (0.25, [{"CPU": 16.0, "GPU": 1.0}], 3),
        (1.0, [{"CPU": 64.0}, {"CPU": 32.0, "GPU": 4.0}, {"CPU": 16.0, "GPU": 4.0}], 3),
        (2.0, [{"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0, "GPU": 4.0}], 3),
        (1.0, [{"CPU": 2.0, "GPU": 2.0}], 0),
        (1.0, [], 0),
    ],
)
def test_a_task_with_a_gpu_decodes_on_its_share_of_its_nodes_cores(gpus, nodes, decoders) -> None:
    assert _decoders(gpus, nodes) == decoders


def test_without_a_gpu_no_processes_decode_ahead() -> None:
    assert _workers(_Plan(), [{"CPU": 16.0}]).decoders == 0


@pytest.mark.parametrize("plan", [_Plan(cpus_per_trial=3), _Plan(1, 1)])
def test_a_cluster_that_fits_no_trial_is_said_with_all_numbers(plan) -> None:
    asked = f"asks for {plan.cpus_per_trial:g} CPUs and {plan.gpus_per_trial:g} GPUs, its nodes have 2 and 0, 2 and 0"
    with pytest.raises(ClusterError, match=asked):
        _workers(plan, [{"CPU": 2.0}, {"CPU": 2.0}])


def test_too_few_resources_for_the_trials_of_one_process_are_said() -> None:
    with pytest.raises(ClusterError, match="1 CPUs and 0 GPUs, 4 of them a process, its nodes have 2 and 0"):
        _workers(_Plan(trials_per_process=4), [{"CPU": 2.0}])


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, 1), (1.0, 1), (4.0, 4), (2.5, 2)])
def test_a_trial_has_a_thread_per_whole_cpu(cpus: float, threads: int) -> None:
    assert threads_of(_Plan(cpus_per_trial=cpus)) == threads  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("workers", "plan", "nodes", "expected"),
    [
        (Workers(2), _Plan(), None, 2),
        (Workers(2), _Plan(), [2.0, 3.0], 5),
        (Workers(2), _Plan(max_concurrent=4), [2.0, 3.0], 4),
        (Workers(2), _Plan(), [], 0),
        (Workers(4, per_process=2), _Plan(trials_per_process=2), [2.0, 2.0, 2.0], 4),
        (Workers(4, per_process=2), _Plan(trials_per_process=2), [2.0], 2),
    ],
)
def test_nodes_that_come_and_go_change_how_many_trials_run(workers, plan, nodes, expected) -> None:
    if nodes is not None:
        usable = {str(k): {"CPU": cpus} for k, cpus in enumerate(nodes)}
        workers = replace(workers, roster=SimpleNamespace(usable=lambda: usable))
    assert workers.at_once(plan) == expected


def test_a_task_beside_trials_goes_to_nodes_that_fit_one() -> None:
    usable = {"head": {"CPU": 0.0}, "small": {"CPU": 2.0}, "large": {"CPU": 8.0}}
    workers = Workers(2, roster=SimpleNamespace(usable=lambda: usable))  # type: ignore[arg-type]
    assert workers.trial_nodes(_Plan()) == {"small", "large"}  # type: ignore[arg-type]
    assert workers.trial_nodes(_Plan(cpus_per_trial=3)) == {"large"}  # type: ignore[arg-type]
    assert workers.trial_nodes(_Plan(cpus_per_trial=9)) == set()  # type: ignore[arg-type]
    assert Workers(2).trial_nodes(_Plan()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plan", "node", "threads"),
    [
        (_Plan(), {"CPU": 8.0}, 8),
        (_Plan(cpus_per_trial=3), {"CPU": 8.0}, 6),
        (_Plan(cpus_per_trial=0.5), {"CPU": 3.0}, 3),
        (_Plan(cpus_per_trial=0.25, max_concurrent=2), {"CPU": 8.0}, 1),
        (_Plan(max_concurrent=3), {"CPU": 8.0}, 3),
        (_Plan(), {}, 1),
        (_Plan(cpus_per_trial=1, gpus_per_trial=0.5), {"CPU": 16.0, "GPU": 1.0}, 8),
        (_Plan(cpus_per_trial=1, gpus_per_trial=1), {"CPU": 16.0, "GPU": 1.0}, 16),
        (_Plan(cpus_per_trial=1, gpus_per_trial=1), {"CPU": 1.0, "GPU": 4.0}, 1),
    ],
)
def test_a_fit_has_the_threads_of_the_trials_of_its_node_or_those_that_feed_its_gpu(plan, node, threads) -> None:
    assert fit_threads(plan, node) == threads


def test_workers_have_the_niceness_of_any_program_unless_another_is_chosen(monkeypatch) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    monkeypatch.delenv("RAY_worker_niceness", raising=False)
    assert niceness() == own
    monkeypatch.setenv("RAY_worker_niceness", "7")
    assert niceness() == min(19, own + 7)
    assert load(SimpleNamespace(address="local")).endswith(f" cores, workers at niceness {min(19, own + 7)}")  # type: ignore[arg-type]
    assert load(SimpleNamespace(address="auto")) == "the nodes may be busy with other work"  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [None, 5])
def test_the_workers_of_a_private_ray_have_the_niceness_that_is_told(chosen: int | None) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "RAY_worker_niceness"}
    if chosen is not None:
        environment["RAY_worker_niceness"] = str(chosen)
    ran = subprocess.run(
        [sys.executable, "-c", NICENESS], cwd=ROOT, env=environment, text=True, capture_output=True, timeout=200
    )
    assert ran.returncode == 0, ran.stderr
    measured, told = map(int, ran.stdout.split())
    assert measured == told == min(19, os.getpriority(os.PRIO_PROCESS, 0) + (chosen or 0))


@pytest.mark.slow
def test_a_private_ray_listens_on_loopback_only_and_joins_nothing() -> None:
    address, found = _addresses(HOLD)
    assert address.startswith("127.0.0.1:"), address
    assert len(found) >= 3, "Ray's servers are among what was looked at"
    assert [where for where in found if not where.is_loopback] == []


@pytest.mark.slow
def test_ray_alone_would_listen_on_other_interfaces() -> None:
    """Where this fails, `loopback_only` has become needless."""
    unpatched = "import contextlib; from study.execution import cluster; cluster.loopback_only = contextlib.nullcontext"
    _, found = _addresses(f"{unpatched}\n{HOLD}")
    assert any(not where.is_loopback for where in found)


def _addresses(code: str) -> tuple[str, list[ipaddress.IPv4Address | ipaddress.IPv6Address]]:
    """The address of the Ray that `code` holds, and all addresses on which its processes listen."""
    mark = uuid4().hex
    # An address such as `ray job submit` sets, of a cluster that is no more.
    environment = os.environ | {_MARK: mark, "RAY_ADDRESS": "127.0.0.1:9"}
    driver = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert driver.stdout is not None
        address = driver.stdout.readline().strip()
        time.sleep(3)  # for the agents that Ray starts in the background
        found = _listening(f"{_MARK}={mark}".encode())
    finally:
        _, error = driver.communicate("", timeout=200)
    assert driver.returncode == 0, error
    return address, found


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


_SIGNALLED = """
import signal, threading
from types import SimpleNamespace
from study.execution import workers
from study.terminal.signals import end_process, ended_by_signals

signal.signal(signal.{name}, signal.SIG_DFL)  # under nohup, for one, SIGHUP is ignored

def connect(*_, **__):  # as Ray does: handlers of its own
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_kill(threading.main_thread().ident, signal.{name})

workers.connect = connect
plan = SimpleNamespace(address="local", verbose=False)

@ended_by_signals()
def main():
    with workers.ray_session(plan):
        return 0

end_process(main)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1"])
def test_a_signal_while_ray_starts_ends_the_session_as_a_ctrl_c(name: str) -> None:
    code = _SIGNALLED.replace("{name}", name)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (130, "interrupted\n")
