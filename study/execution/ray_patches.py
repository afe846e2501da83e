"""A worker that Ray's memory monitor kills fails its trial, not the whole study.

In Ray 2.60 such a death reaches Tune as `OutOfMemoryError`, a RayError that is neither of the two kinds Tune's actor
manager knows; it raises "Caught unexpected exception" and the run ends, on the very machines where trials are large.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def surviving_memory_kills() -> Iterator[None]:
    """Within the block, Tune takes every error that Ray itself raises for a task as the death of its actor."""
    from ray.air.execution._internal.actor_manager import RayActorManager

    failed = RayActorManager._actor_task_failed
    RayActorManager._actor_task_failed = _taking_any(failed)
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = failed


def _taking_any(failed: Callable[[Any, Any, Exception], None]) -> Callable[[Any, Any, Exception], None]:
    from ray.exceptions import RayActorError, RayError, RayTaskError

    def of_any_kind(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=str(exception))
        failed(manager, tracked_actor_task, exception)

    return of_any_kind
