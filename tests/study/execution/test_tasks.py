"""Tasks and objects on Ray: a future asks no Ray that has ended, and temporary objects leave the object store."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    OwnerDiedError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)

from study.execution import tasks
from study.execution.tasks import Future, TaskDied, TaskError, TaskStranded
from trainables.cckd.errors import DamagedImageError, TeacherError

MEGABYTES = 40


def _raise(reference: Any) -> int:
    raise RayTaskError("count", "a long traceback", ValueError("student 'x' cannot be built"))


def test_a_future_is_ready_with_its_task_and_asks_no_ray_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ready: list[str] = []
    ray = SimpleNamespace(
        is_initialized=lambda: True,
        wait=lambda references, timeout: (ready, references),
        get=lambda reference: 77_850,
    )
    monkeypatch.setattr(tasks, "ray", ray)
    future = Future("count")
    assert not future.is_ready
    assert future.result() == 77_850
    ready.append("count")
    assert future.is_ready
    monkeypatch.setattr(ray, "get", _raise)
    with pytest.raises(TaskError, match=r"^student 'x' cannot be built$"):
        future.result()
    ray.is_initialized = lambda: False
    assert not future.is_ready


@pytest.mark.parametrize(
    "death",
    [
        WorkerCrashedError(),
        OutOfMemoryError("The node was low on memory.\nMore"),
        NodeDiedError("The node has died."),
        ObjectLostError("ab" * 28, None, ""),
        OwnerDiedError("ab" * 28, None, ""),
    ],
)
def test_a_dead_process_is_an_error_that_whoever_waits_for_a_task_handles(
    monkeypatch: pytest.MonkeyPatch, death: Exception
) -> None:
    def get(reference: Any) -> int:
        raise death

    monkeypatch.setattr(tasks.ray, "get", get)
    for ask in (Future("count").result, lambda: tasks.get("count")):
        with pytest.raises(TaskDied) as raised:
            ask()
        assert isinstance(raised.value, TaskError)
        assert str(raised.value) == str(death).splitlines()[0]


@pytest.fixture(scope="module")
def real_ray() -> Iterator[Any]:
    """A Ray with one core, shared by the slow tests."""
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_a_task_that_is_not_tried_again_says_that_its_process_has_died(real_ray: Any) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    with pytest.raises(TaskDied):
        tasks.get(tasks.start_once(die))
    assert tasks.get(tasks.start_once(lambda one, other: one + other, 3, 4)) == 7
    plan: Any = SimpleNamespace(gpus_per_trial=0.0)
    here = [real_ray.get_runtime_context().get_node_id()]
    with pytest.raises(TaskDied):
        tasks.get(tasks.start_once_on_worker(plan, None, die))
    assert tasks.get(tasks.start_once_on_worker(plan, here, lambda one, other: one + other, 3, 4)) == 7
    assert tasks.get(tasks.start_once_on_worker(plan, here, tasks.own_node))["CPU"] == 1
    with pytest.raises(TaskStranded):
        tasks.get(tasks.start_once_on_worker(plan, ["0" * len(here[0])], die))
    busy = tasks.start_once_on_worker(plan, here, lambda: time.sleep(2))
    waiting = tasks.start_once_on_worker(plan, here, die)
    assert tasks.wait_for_one([waiting], 0.2) == []
    tasks.cancel(waiting)
    assert tasks.wait_for_one([waiting], 10) == [waiting]
    with pytest.raises(TaskCancelledError):
        tasks.get(waiting)
    assert tasks.get(busy) is None


@pytest.mark.slow
def test_temporary_objects_are_dropped_and_others_that_are_pinned_stay(real_ray: Any) -> None:
    from study.execution.tasks import object_store

    ray = real_ray
    bundle = np.zeros(MEGABYTES * 125_000)
    with object_store(is_temporary=True) as put:
        reference = put(bundle)
        ray.cloudpickle.dumps(reference)  # what Tune does: pins it for as long as its owner lives
        read = ray.remote(num_cpus=1)(lambda references: len(ray.get(references[0])))
        assert ray.get(read.remote([reference])) == len(bundle)
        assert _soon(lambda: _used_mb() >= MEGABYTES)
    assert _soon(lambda: _used_mb() < MEGABYTES / 2)
    ray.cloudpickle.dumps(ray.put(bundle))
    assert _soon(lambda: _used_mb() >= MEGABYTES)
    assert not _soon(lambda: _used_mb() < MEGABYTES / 2, limit_s=2), "the fact for which temporary objects exist"


def _used_mb() -> float:
    import ray

    total, free = (found["object_store_memory"] for found in (ray.cluster_resources(), ray.available_resources()))
    return (total - free) / 1e6


def _soon(holds: Callable[[], bool], limit_s: float = 10) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("dual", [False, True])
def test_a_fault_of_the_data_comes_from_a_task_as_it_was_raised_there(
    monkeypatch: pytest.MonkeyPatch, dual: bool
) -> None:
    def get(reference: Any) -> None:
        error = RayTaskError("extract", "Traceback: ...", cause)
        raise error.as_instanceof_cause() if dual else error

    monkeypatch.setattr(tasks.ray, "get", get)
    cause: Exception = DamagedImageError("/a/3.png", "is torn")
    with pytest.raises(DamagedImageError, match=r"^/a/3\.png is torn$"):
        tasks.get("reference")
    cause = TeacherError("too little memory")
    with pytest.raises(TeacherError, match=r"^too little memory$"):
        tasks.get("reference")
    cause = KeyError("other")
    with pytest.raises(RayTaskError):
        tasks.get("reference")
