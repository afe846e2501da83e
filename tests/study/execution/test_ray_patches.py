"""Tune's actor manager hears of a worker killed for memory as it hears of any dead worker."""

from types import SimpleNamespace

import pytest
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

from study.execution.ray_patches import surviving_memory_kills


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
    """Where this fails, study/execution/ray_patches.py has become needless."""
    with pytest.raises(RuntimeError, match="unexpected exception"):
        _fails(OutOfMemoryError("the node is running low on memory"))


def test_what_is_no_death_is_left_alone() -> None:
    with surviving_memory_kills(), pytest.raises(RuntimeError, match="unexpected exception"):
        _fails(ValueError("a fault of Tune's own"))
