"""Every argument we hand to Ray, in one file: starting it quietly, and running a queue of trials on it."""

import math
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.execution.cluster import ClusterError, connect
from study.execution.ray_patches import surviving_memory_kills
from study.signals import undisturbed

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler
    from ray.tune.search import Searcher

    from study.planning.plan import StudyPlan

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # its progress tables ignore verbose=0
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # we keep our own records; Ray's CSV misaligns on resume
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # the cause is filed with the trial
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray 2.60 warns about its own coming change otherwise
}

#: What a trial that another process trains takes of a node at least.
_LEAST_CPUS = 0.01

#: Old settings of Ray's that now make it raise; our folders never came from them.
_REFUSED = ("TUNE_RESULT_DIR", "RAY_AIR_LOCAL_CACHE_DIR")


@dataclass(frozen=True)
class Workers:
    """What the cluster offers.

    Attributes:
        n_workers: concurrent trials.
        threads: of each.
        device: they train on.
        decoders: processes that decode image files ahead of a task of the teacher's pass. On the CPU there are none:
            as many tasks as cores decode and compute in turns already.
        per_process: trials that one process trains together; 1 where each has a process of its own.
    """

    n_workers: int
    threads: int
    device: str
    decoders: int = 0
    per_process: int = 1


@contextmanager
def ray_session(plan: "StudyPlan") -> Iterator[Workers]:
    """Start a private Ray (or join the cluster at `plan.address`) and leave it again.

    Raises:
        ClusterError: it cannot be joined, or no trial fits it.
    """
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    for key in _REFUSED:
        os.environ.pop(key, None)
    import ray

    # What goes wrong with a trial is filed with the trial and told in our words.
    connect(plan.address, _ENVIRONMENT, verbose=plan.verbose)
    try:
        yield _workers(plan, [node["Resources"] for node in ray.nodes() if node["Alive"]])
    finally:
        with undisturbed():
            ray.shutdown()


def behind_trials(function: Callable[..., Any]) -> Any:
    """As `beside_driver`, for what lowers its priority: its process, which can not raise it again, ends with it."""
    return beside_driver(function, max_calls=1)


def beside_driver(function: Callable[..., Any], **options: Any) -> Any:
    """`function` as a Ray task of the driver's own node, which has the driver's files; it waits for no resource."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here, **options)(function)


def run_trials(
    plan: "StudyPlan",
    workers: Workers,
    *,
    trainable: type,
    context: Any,
    searcher: "Searcher",
    scheduler: "TrialScheduler",
    folder: tuple[str, str],
    on_step: Callable[[Sequence[Any]], None],
    on_interrupt: Callable[[], None] = lambda: None,
) -> None:
    """Run the trials that `searcher` hands out; return when all ended.

    After Ctrl-C Ray gives running trials ten seconds to end what they are at, which is a leg and its checkpoint.

    Args:
        plan: resources and verbosity.
        workers: concurrency and threads.
        trainable: class Trainable whose setup takes `context`.
        context: handed to every trial's setup through the object store.
        searcher: hands out configurations and hears of completions.
        scheduler: hears of every result and answers stop or continue.
        folder: parent (a path or URI) and name of a new folder for Ray's own tree; never an existing one, since
            Ray overwrites.
        on_step: called with Ray's trials on every turn of its loop, for progress.
        on_interrupt: called before Ray's loop ends for a Ctrl-C.

    Raises:
        KeyboardInterrupt: Ctrl-C was heard, whether or not a trial is missing; a second does not wait for any.
    """
    from ray import tune

    resources = {"cpu": plan.cpus_per_trial, "gpu": plan.gpus_per_trial}
    if workers.per_process > 1:  # the GPU belongs to the process that trains; and Ray knows no trial that needs nothing
        resources = {"cpu": max(plan.cpus_per_trial, _LEAST_CPUS)}
    turns = _step_callback(on_step, on_interrupt)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, context=context), resources),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=-1,  # until the searcher has no more
            max_concurrent_trials=workers.n_workers,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=folder[1],
            storage_path=folder[0],
            failure_config=tune.FailureConfig(max_failures=0),  # the searcher hands a crashed trial out again
            # The trainable keeps its own; a class Trainable would else be asked for one at its end.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[turns],
            verbose=0,
        ),
    )
    before = signal.getsignal(signal.SIGINT)
    try:
        with surviving_memory_kills(), _uncounted_callbacks():
            tuner.fit()
    finally:
        # Tune leaves its own SIGINT handler behind, which would swallow the next Ctrl-C.
        signal.signal(signal.SIGINT, before)
    if turns.interrupted:
        raise KeyboardInterrupt


@contextmanager
def _uncounted_callbacks() -> Iterator[None]:
    """Keep Tune from counting callbacks for Ray's usage statistics where those are off.

    To tell them apart it imports every tracker that is installed, MLflow for more than a second, before it looks for a
    worker. A private name; a test watches over it.
    """
    from ray.air._internal import usage

    count = usage.tag_callbacks
    if os.environ.get("RAY_USAGE_STATS_ENABLED") == "0":
        usage.tag_callbacks = lambda callbacks: False
    try:
        yield
    finally:
        usage.tag_callbacks = count


def _workers(plan: "StudyPlan", nodes: Sequence[Mapping[str, float]]) -> Workers:
    """How many trials fit, node by node: a trial cannot be spread over two."""
    fitting = sum(_fitting(plan, node) for node in nodes)
    if fitting < 1:
        offered = ", ".join(f"{node.get('CPU', 0):g} and {node.get('GPU', 0):g}" for node in nodes)
        together = f", {plan.trials_per_process} of them a process" if plan.trials_per_process > 1 else ""
        raise ClusterError(
            f"no trial fits the cluster: a trial asks for {plan.cpus_per_trial:g} CPUs and {plan.gpus_per_trial:g} "
            f"GPUs{together}, its nodes have {offered}"
        )
    n_workers = min(fitting, plan.max_concurrent or fitting)
    return Workers(
        n_workers=n_workers,
        threads=max(1, int(plan.cpus_per_trial)),
        device="cuda" if plan.gpus_per_trial else "cpu",
        decoders=_decoders(plan.gpus_per_trial, nodes) if plan.gpus_per_trial else 0,
        per_process=min(plan.trials_per_process, n_workers),
    )


def _decoders(gpus_per_task: float, nodes: Sequence[Mapping[str, float]]) -> int:
    """A task's share of its node's cores, but for the one that feeds the GPU; the least over all nodes with one."""
    shares = [
        math.floor(node.get("CPU", 0.0) / math.floor(node["GPU"] / gpus_per_task))
        for node in nodes
        if node.get("GPU", 0.0) >= gpus_per_task
    ]
    return max(0, min(shares, default=0) - 1)


def _fitting(plan: "StudyPlan", node: Mapping[str, float]) -> int:
    """Trials that fit a node, in whole processes where several share one; such a process trains on one GPU."""
    n_together = plan.trials_per_process
    by_cpu = math.floor(node.get("CPU", 0.0) / plan.cpus_per_trial) if plan.cpus_per_trial else math.inf
    by_gpu = math.inf
    if plan.gpus_per_trial and n_together > 1:
        # A share of 1/49, 49 times, falls short of a GPU or exceeds it by a rounding.
        by_gpu = (
            math.floor(node.get("GPU", 0.0)) * math.floor(1 / (n_together * plan.gpus_per_trial) + 1e-9) * n_together
        )
    elif plan.gpus_per_trial:
        by_gpu = math.floor(node.get("GPU", 0.0) / plan.gpus_per_trial)
    return int(min(by_cpu, by_gpu)) // n_together * n_together


def _step_callback(on_step: Callable[[Sequence[Any]], None], on_interrupt: Callable[[], None]) -> Any:
    from ray.tune import Callback

    class StepCallback(Callback):
        """Ray calls this after every turn of its loop; the turn in which Ctrl-C came is the last."""

        def __init__(self) -> None:
            self.interrupted = False
            self._end_loop: Callable[..., Any] = signal.default_int_handler

        def setup(self, *args: Any, **info: Any) -> None:
            """Listen in front of Tune, whose handler of the first Ctrl-C is in place by now."""
            theirs = signal.getsignal(signal.SIGINT)
            if callable(theirs):
                self._end_loop = theirs  # and makes the next Ctrl-C raise
            signal.signal(signal.SIGINT, self._hear)

        def _hear(self, *of_signal: Any) -> None:
            if self.interrupted:
                self._end_loop(*of_signal)
                signal.raise_signal(signal.SIGINT)
            self.interrupted = True

        def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
            on_step(trials)
            if self.interrupted:  # only now does the loop hear of it: wherever Ctrl-C fell, the user is told first
                on_interrupt()
                self._end_loop(signal.SIGINT, None)

        def __reduce__(self) -> tuple[Any, ...]:
            # Tune pickles its callbacks into tuner.pkl, which nothing ever reads back.
            return Callback, ()

    return StepCallback()
