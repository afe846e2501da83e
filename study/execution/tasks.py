"""Ray tasks, actors, and objects beside the trials. Every function needs Ray, which `workers.ray_session` starts."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayTaskError,
    TaskUnschedulableError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.execution.nodes import selector
from study.planning.plan import StudyPlan
from trainables.cckd.errors import DataError, TeacherError

#: Puts a value into Ray's object store and returns a reference to it.
Put = Callable[[Any], Any]


class TaskError(Exception):
    """A task has raised an error; the message is that error's own."""


class TaskDied(TaskError):
    """The process of a task has ended before the task, by a signal or otherwise, or its result is lost."""


class TaskStranded(TaskError):
    """Every node on which a task may run is lost."""


class Future:
    """The result of a task that may still run."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference

    @property
    def is_ready(self) -> bool:
        """Whether the result is there; False after the end of Ray, because a question would start another Ray."""
        return ray.is_initialized() and bool(ray.wait([self._reference], timeout=0)[0])

    def result(self) -> Any:
        """Wait for the result and return it.

        Raises:
            TaskError: the task has raised an error. Ray's own text names mostly the place where it was raised.
            TaskDied: the process of the task has ended, and the task is not tried again.
        """
        try:
            return _get(self._reference)
        except RayTaskError as error:
            raise TaskError(str(error.cause)) from error


def put(value: Any) -> Any:
    """Put `value` into the object store and return a reference to it."""
    return ray.put(value)


def get(reference: Any) -> Any:
    """Wait for the object behind `reference` and return it; a list gives a list.

    Raises:
        DataError, TeacherError: the task has raised it; Ray's own error would hold the task's traceback.
        TaskDied: the process of the task has ended, and the task is not tried again.
        TaskStranded: the nodes on which the task may run are lost.
    """
    try:
        return _get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, DataError | TeacherError):
            raise error.cause from None
        raise


def wait_for_one(references: Sequence[Any], timeout_s: float) -> list[Any]:
    """Wait until one of `references` is ready and return those that are; none if none is within `timeout_s`."""
    return ray.wait(list(references), timeout=timeout_s)[0]


def start_on_worker(plan: StudyPlan, function: Callable[..., Any], *arguments: Any) -> Any:
    """Start `function(*arguments)` in a worker with one CPU, or a trial's share of a GPU; return a reference."""
    return ray.remote(**_resources(plan))(function).remote(*arguments)


def start_once_on_worker(
    plan: StudyPlan, nodes: Collection[str] | None, function: Callable[..., Any], *arguments: Any
) -> Any:
    """Start `function(*arguments)` as `start_on_worker`, on one of `nodes` (None: on any node); return a reference.

    If its process dies, the task is not tried again, and `get` raises TaskDied. Ray itself would try a task again for
    ever that fills the memory of its node.
    """
    labels = None if nodes is None else selector(nodes)
    return ray.remote(**_resources(plan), max_retries=0, label_selector=labels)(function).remote(*arguments)


def cancel(reference: Any) -> None:
    """Take back a task that has not begun."""
    ray.cancel(reference)


def own_node() -> Mapping[str, float]:
    """Return the resources that the node of this process has, by Ray's names."""
    here = ray.get_runtime_context().get_node_id()
    found: Mapping[str, float] = next(node["Resources"] for node in ray.nodes() if node["NodeID"] == here)
    return found


def start_actor(plan: StudyPlan, cls: type, *arguments: Any) -> Any:
    """Start an actor `cls(*arguments)` with a trial's resources; return its handle.

    The actor asks for no CPU, which it would keep for its lifetime. Its share of a GPU limits how many there are. Like
    a task, it is tried again if its process dies. After its node it needs a free share on another one, so handles of
    actors that have nothing left to do must be dropped: Ray ends an actor with its last handle.
    """
    options = _resources(plan) | {"num_cpus": 0}
    # A handful of tries is over before a lost node counts as dead. What an actor cannot do, it does not survive often.
    return ray.remote(**options, max_restarts=3, max_task_retries=-1)(cls).remote(*arguments)


def start_beside_driver(function: Callable[..., Any], *arguments: Any, own_process: bool = False) -> Any:
    """Start `function(*arguments)` on the driver's node, which has the driver's files; return a reference.

    The task holds no resource and waits for none.

    Args:
        function: the task.
        arguments: its arguments.
        own_process: run the task in a process that ends with it. A task that lowers its own priority needs this,
            because no process can raise its priority again.
    """
    options = {"max_calls": 1} if own_process else {}
    return ray.remote(num_cpus=0, scheduling_strategy=_at(None), **options)(function).remote(*arguments)


def start_on_node(node: str | None, function: Callable[..., Any], *arguments: Any) -> Any:
    """Start `function(*arguments)` on the node of this id, None for the driver's, in a process of its own.

    The task holds no resource and waits for none. If its process dies, it is not tried again.
    """
    return ray.remote(num_cpus=0, max_calls=1, max_retries=0, scheduling_strategy=_at(node))(function).remote(
        *arguments
    )


def start_actor_beside_driver(cls: type, *arguments: Any) -> Any:
    """Start an actor `cls(*arguments)` on the driver's node; return its handle. It holds no resource.

    If its process dies, another one is started with the same arguments, and its calls are made again.
    """
    return ray.remote(num_cpus=0, scheduling_strategy=_at(None), max_restarts=-1, max_task_retries=-1)(cls).remote(
        *arguments
    )


def start_once(function: Callable[..., Any], *arguments: Any) -> Any:
    """Start `function(*arguments)` on the driver's node, as `start_beside_driver`; return a reference.

    If its process dies, the task is not tried again, and `get` raises TaskDied.
    """
    return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=_at(None))(function).remote(*arguments)


@contextmanager
def object_store(*, is_temporary: bool) -> Iterator[Put]:
    """Return a function that puts values into Ray's object store.

    Tune registers its parameters for the lifetime of the driver. So every object that a course refers to stays in the
    store: one bundle of data per course. An object that another process has put there goes with that process.

    Args:
        is_temporary: an actor owns the objects and is killed at the end of the block, so the objects leave the store,
            although Tune still refers to them. An actor costs a second or two.
    """
    if not is_temporary:
        yield put
        return
    owner = ray.remote(num_cpus=0)(_Owner).remote()
    try:
        yield partial(_put_by, owner)
    finally:
        ray.kill(owner)


def _get(reference: Any) -> Any:
    """Return the object behind `reference`; a process that has ended, or an object that is lost, is a TaskDied."""
    try:
        return ray.get(reference)
    except (WorkerCrashedError, OutOfMemoryError, NodeDiedError, ObjectLostError) as error:
        raise TaskDied(str(error).splitlines()[0]) from error
    except TaskUnschedulableError as error:
        raise TaskStranded(str(error).splitlines()[0]) from error


def _put_by(owner: Any, value: Any) -> Any:
    (reference,) = get(owner.put.remote(value))
    return reference


class _Owner:
    """An actor that owns the objects it puts into the store."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def put(self, value: Any) -> list[Any]:
        """Put `value` and return the reference in a list; Ray would replace a bare reference by its object."""
        self._kept.append(put(value))
        return self._kept[-1:]


def _at(node: str | None) -> NodeAffinitySchedulingStrategy:
    """Return the strategy that places a task on the node of this id, None for the driver's."""
    return NodeAffinitySchedulingStrategy(node or ray.get_runtime_context().get_node_id(), soft=False)


def _resources(plan: StudyPlan) -> dict[str, float]:
    return {"num_gpus": plan.gpus_per_trial} if plan.gpus_per_trial else {"num_cpus": 1}
