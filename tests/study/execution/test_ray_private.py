"""Our uses of Ray's private names: each does what it is for, and its test fails when Ray no longer needs it."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray._private.node import Node
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.tune import air_usage

from study.execution.ray_private import (
    controller_behind,
    end_processes_at_once,
    job_runtime_env,
    surviving_memory_kills,
    without_callback_count,
)

ROOT = Path(__file__).resolve().parents[3]


def test_a_private_ray_is_killed_without_being_asked_first(monkeypatch) -> None:
    asked: list[dict[str, Any]] = []
    node = SimpleNamespace(kill_all_processes=lambda **how: asked.append(how))
    monkeypatch.setattr("ray._private.worker._global_node", node)
    end_processes_at_once()
    node.kill_all_processes(check_alive=False, allow_graceful=True)
    assert asked == [{"check_alive": False, "allow_graceful": False}]
    monkeypatch.setattr("ray._private.worker._global_node", None)
    end_processes_at_once()  # there is no Ray


_SHUTDOWN = """
import time, ray
from study.execution.ray_private import end_processes_at_once
from study.terminal.signals import unheard_by_children
with unheard_by_children():
    ray.init(address="local", include_dashboard=False, num_cpus=1, logging_level="CRITICAL", log_to_driver=False)
{at_once}
start = time.monotonic()
ray.shutdown()
print(time.monotonic() - start)
"""


@pytest.mark.slow
def test_ray_alone_would_wait_for_processes_that_hear_nothing() -> None:
    """Where this fails, `end_processes_at_once` has become needless."""

    def seconds(at_once: str) -> float:
        code = _SHUTDOWN.format(at_once=at_once)
        run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        return float(run.stdout)

    waiting, at_once = seconds(""), seconds("end_processes_at_once()")
    assert waiting > at_once + 2


#: The start fails where its raylet would begin, `{fails}` times; the GCS runs by then.
_HALF_START = """
import os, ray
from pathlib import Path
from ray._private.node import Node
from study.execution.cluster import ClusterError, connect
whole, failures = Node.start_ray_processes, iter(range({fails}))

def start(node):
    if next(failures, None) is not None:
        raise Exception("The current node timed out during startup.")
    whole(node)

Node.start_ray_processes = start
try:
    {start}
except Exception as error:
    print(type(error).__name__, str(error).count(chr(10)))

def servers(*names):
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            ours = folder.joinpath("stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid())
            line = folder.joinpath("cmdline").read_bytes()
            if ours and any(name in line for name in names):
                yield folder
        except OSError:
            continue

of_clusters = servers(b"autoscaler/_private/monitor.py", b"dashboard/dashboard.py", b"log_monitor.py")
print(ray.is_initialized(), len(list(servers(b"gcs_server"))), len(list(of_clusters)))
ray.shutdown()
"""


def _half_start(start: str, fails: int) -> list[str]:
    code = _HALF_START.format(start=start, fails=fails)
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


@pytest.fixture(scope="module")
def left_by_ray_alone() -> tuple[str, str]:
    """How many GCS, and how many servers of clusters, a failed start of Ray's own leaves."""
    alone = "ray.init(address='local', include_dashboard=False, num_cpus=1, logging_level='CRITICAL')"
    initialized, n_gcs, n_of_clusters = _half_start(alone, fails=1)[-1].split()
    assert initialized == "False"
    return n_gcs, n_of_clusters


@pytest.mark.slow
def test_ray_alone_would_leave_the_processes_of_a_failed_start(left_by_ray_alone: tuple[str, str]) -> None:
    """Where this fails, `leaving_no_half_node` has become needless."""
    assert left_by_ray_alone[0] == "1"


@pytest.mark.slow
def test_ray_alone_would_start_servers_of_a_cluster(left_by_ray_alone: tuple[str, str]) -> None:
    """Where this fails, `without_head_servers` has become needless."""
    assert left_by_ray_alone[1] == "2"


@pytest.mark.slow
@pytest.mark.parametrize(("fails", "last"), [(1, ["True 1 0"]), (2, ["ClusterError 0", "False 0 0"])])
def test_a_start_that_takes_too_long_is_tried_once_more_and_leaves_nothing(fails: int, last: list[str]) -> None:
    told, *said = _half_start("connect('local', {{}}, verbose=False)".replace("{{}}", "{}"), fails)
    assert told.startswith("NOTE     Ray did not start (load average ")
    assert said == last


def test_ray_alone_would_read_logs_that_nobody_gets() -> None:
    """Where this fails, `ray.init` decides on the process that reads them: `without_log_monitor` may be needless."""
    assert "log_monitor" not in inspect.getsource(ray.init)
    assert "if self._ray_params.include_log_monitor:" in inspect.getsource(Node.start_ray_processes)


def _fails(error: Exception) -> list[tuple[str, Exception]]:
    """What the trial's owner hears when a task of a tracked actor fails with `error`."""
    heard: list[tuple[str, Exception]] = []
    actor = SimpleNamespace(actor_id=1, _on_error=lambda _, told: heard.append(("actor", told)))
    task = SimpleNamespace(_tracked_actor=actor, _on_error=lambda _, told: heard.append(("task", told)))
    manager = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda tracked_actor: None)
    RayActorManager._actor_task_failed(manager, task, error)
    return heard


def test_a_worker_killed_for_memory_is_a_dead_actor() -> None:
    with surviving_memory_kills():
        heard = _fails(OutOfMemoryError("the node is running low on memory"))
    assert [who for who, _ in heard] == ["actor", "task"]
    assert all(isinstance(told, RayActorError) and "low on memory" in str(told) for _, told in heard)


def test_ray_alone_would_end_the_run() -> None:
    """Where this fails, `surviving_memory_kills` has become needless."""
    with pytest.raises(RuntimeError, match="unexpected exception"):
        _fails(OutOfMemoryError("the node is running low on memory"))


def test_what_is_no_death_is_left_alone() -> None:
    with surviving_memory_kills(), pytest.raises(RuntimeError, match="unexpected exception"):
        _fails(ValueError("a fault of Tune's own"))


@pytest.mark.parametrize(("statistics", "imported"), [("0", False), ("1", True)])
def test_trackers_are_imported_only_for_statistics_that_are_on(monkeypatch, statistics: str, imported: bool) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", statistics)
    counted: list[Any] = []
    monkeypatch.setattr("ray.air._internal.usage._count_callbacks", lambda callbacks: counted.append(callbacks) or {})
    with without_callback_count():
        # As ray.tune.run does; were the name another one some day, nothing would be imported less.
        air_usage.tag_callbacks(["callback"])
    assert bool(counted) is imported


def test_ray_alone_would_import_the_trackers(monkeypatch) -> None:
    """Where this fails, `without_callback_count` has become needless."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    counted: list[Any] = []
    monkeypatch.setattr("ray.air._internal.usage._count_callbacks", lambda callbacks: counted.append(callbacks) or {})
    with without_callback_count():
        pass
    air_usage.tag_callbacks(["callback"])
    assert counted


def test_the_wrapped_controller_warns_of_names_that_we_need(monkeypatch) -> None:
    """Where this fails, `controller_behind` has become needless."""
    from ray.tune.execution import tune_controller

    warnings: list[str] = []
    monkeypatch.setattr(tune_controller, "log_once", lambda key: True)
    monkeypatch.setattr(tune_controller.logger, "warning", warnings.append)
    controller: Any = SimpleNamespace(_trial_to_actor={"trial": "actor"})
    wrapped = tune_controller.TrialRunnerWrapper(controller, trial_executor=None)
    assert wrapped._trial_to_actor == {"trial": "actor"}
    assert len(warnings) == 1
    assert controller_behind(wrapped) is controller


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, {}),
        (json.dumps({"runtime_env": None}), {}),
        (json.dumps({"runtime_env": {"working_dir": "gcs://x"}}), {"working_dir": "gcs://x"}),
    ],
)
def test_the_environment_of_a_submitted_job_is_read(monkeypatch, variable: str | None, expected: dict) -> None:
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    if variable is not None:
        monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", variable)
    assert job_runtime_env() == expected
