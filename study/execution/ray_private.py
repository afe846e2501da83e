"""Every private or version-bound name of Ray that this project uses, tried with Ray 2.60.

No other module names one; tests/test_private_names.py enforces that. Each function says why it is needed and which test
shows when it is not needed any more.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def surviving_memory_kills() -> Iterator[None]:
    """Make Tune treat every error that Ray raises for a task as the death of the task's actor.

    `RayActorManager._actor_task_failed`. When Ray's memory monitor kills a worker, Tune receives an
    `OutOfMemoryError`. That is a RayError, but neither of the two kinds that Tune's actor manager knows. The manager
    raises "Caught unexpected exception" and the whole run ends, on the very machines where trials are large.
    Needless when `test_ray_alone_would_end_the_run` fails.
    """
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.exceptions import RayActorError, RayError, RayTaskError

    original = RayActorManager._actor_task_failed

    def patched(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=str(exception))
        original(manager, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = patched
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = original


@contextmanager
def without_callback_count() -> Iterator[None]:
    """Keep Tune from counting callbacks for Ray's usage statistics if those are off.

    `ray.air._internal.usage.tag_callbacks`. To count them, Tune imports every experiment tracker that is installed
    before it looks for a worker. MLflow alone takes more than a second.
    Needless when `test_ray_alone_would_import_the_trackers` fails.
    """
    from ray.air._internal import usage

    original = usage.tag_callbacks
    if os.environ.get("RAY_USAGE_STATS_ENABLED") == "0":
        usage.tag_callbacks = lambda callbacks: False
    try:
        yield
    finally:
        usage.tag_callbacks = original


@contextmanager
def loopback_only() -> Iterator[None]:
    """Make Ray's own servers listen on 127.0.0.1; on Linux they listen on every interface.

    `ray._private.ray_constants.ENABLE_RAY_CLUSTER`. `ray.init` replaces a loopback `_node_ip_address` with the outer
    address. False is the value that Ray assumes on macOS and Windows: there will be one node only.
    Needless when the slow test `test_ray_alone_would_listen_on_other_interfaces` fails.
    """
    from ray._private import ray_constants

    original = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = original


@contextmanager
def leaving_no_half_node() -> Iterator[None]:
    """End the processes of a private Ray whose start fails or is interrupted.

    `ray._private.node.Node`, and its `kill_all_processes`. `ray.shutdown` knows a node only once it is whole. The GCS
    of another would live as long as the driver, which may be a notebook.
    Needless when the slow test `test_ray_alone_would_leave_the_processes_of_a_failed_start` fails.
    """
    from ray._private.node import Node

    original = Node.__init__

    def patched(node: Any, *args: Any, **how: Any) -> None:
        try:
            original(node, *args, **how)
        except BaseException:
            if hasattr(node, "all_processes"):
                node.kill_all_processes(check_alive=False, allow_graceful=False)
            raise

    Node.__init__ = patched
    try:
        yield
    finally:
        Node.__init__ = original


@contextmanager
def without_head_servers() -> Iterator[None]:
    """Start a private Ray without its autoscaler and its API server.

    `ray._private.node.Node.start_monitor` and `start_api_server`. `ray.init` starts both, without a dashboard too, and
    waits for the second: two seconds of a core per start. One machine does not grow, and nobody asks the server.
    Needless when the slow test `test_ray_alone_would_start_servers_of_a_cluster` fails.
    """
    from ray._private.node import Node

    original = Node.start_monitor, Node.start_api_server
    Node.start_monitor = Node.start_api_server = lambda *_, **__: None
    try:
        yield
    finally:
        Node.start_monitor, Node.start_api_server = original


@contextmanager
def without_log_monitor() -> Iterator[None]:
    """Start a private Ray without the process that sends the lines of its workers to the driver.

    `ray._private.node.Node.start_log_monitor`. `ray.init` starts it with `log_to_driver=False` too. It then reads every
    log again and again, and nobody gets the lines. What Ray says of lost nodes and workers comes another way.
    Needless when `test_ray_alone_would_read_logs_that_nobody_gets` fails.
    """
    from ray._private.node import Node

    original = Node.start_log_monitor
    Node.start_log_monitor = lambda *_, **__: None
    try:
        yield
    finally:
        Node.start_log_monitor = original


def end_processes_at_once() -> None:
    """Make `ray.shutdown` kill the processes of a private Ray without asking them first.

    `ray._private.worker._global_node`, and its `kill_all_processes`. They do not hear SIGTERM, which a batch system
    sends to every process of a job (`unheard_by_children`): Ray would wait a second for each of its five processes.
    Needless when `test_ray_alone_would_wait_for_processes_that_hear_nothing` fails.
    """
    import ray

    node = ray._private.worker._global_node
    if node is not None:
        kill = node.kill_all_processes
        node.kill_all_processes = lambda *args, **how: kill(*args, **how | {"allow_graceful": False})


def redirect_driver_output(write: Callable[[Sequence[str]], None]) -> None:
    """Give `write` the lines that Ray would print about lost nodes and workers.

    `ray._private.worker.print_to_stdstream`. The option `log_to_driver` of `ray.init` does not cover these lines, about
    thirty for each lost node. The slow test `test_a_study_outlives_a_node_that_is_lost_while_its_trial_runs` checks
    that stderr stays empty.
    """
    import ray

    ray._private.worker.print_to_stdstream = lambda data, ignore_prefix: write(data["lines"])


def job_runtime_env() -> Mapping[str, Any]:
    """Return the runtime environment with which `ray job submit` started this process; empty if it did not.

    The variable RAY_JOB_CONFIG_JSON_ENV_VAR. `ray.init` merges this environment with the one it is given and refuses
    a second working directory. `test_cluster.py` checks both forms.
    """
    found: Mapping[str, Any] = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")).get("runtime_env") or {}
    return found


def controller_behind(wrapped: Any) -> Any:
    """Return Tune's controller without the wrapper that schedulers receive.

    `_tune_controller`. The wrapper prints a warning when a scheduler reads the names that `worker_of` needs.
    Needless when `test_the_wrapped_controller_warns_of_names_that_we_need` fails.
    """
    return wrapped._tune_controller


def keep_idle_workers(controller: Any, trial: Any, n_workers: int) -> None:
    """Make Tune keep up to `n_workers` workers that have no trial; they are for trials that ask for as much as `trial`.

    `_actor_cache.increase_max`. Tune keeps one idle worker and ends the others. Each phase of a study would then start
    its workers anew, which import torch for seconds. Where an idle worker dies, Tune sees it when it gives the worker a
    run: that costs the run one of its retries.
    Needless when the slow test `test_ray_alone_would_end_idle_workers` fails.
    """
    controller._actor_cache.increase_max(trial.placement_group_factory, by=n_workers)


def worker_of(controller: Any, trial: Any) -> Any:
    """Return the actor handle of `trial`'s worker; None if it has no worker yet, or `controller` is None.

    `_trial_to_actor`, `_actor_manager._live_actors_to_ray_actors_resources`. Tune's public parts know the handle only
    when the worker's setup is over, and a worker may hang in its setup.
    The slow test `test_a_stopped_worker_is_freed_within_its_limit_and_the_trial_comes_again` checks this name.
    """
    if controller is None:
        return None
    tracked = controller._trial_to_actor.get(trial)
    handle, _ = controller._actor_manager._live_actors_to_ray_actors_resources.get(tracked, (None, None))
    return handle
