"""Every argument that we give to Ray Tune, and the run of one queue of trials."""

import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.execution.ray_private import surviving_memory_kills, without_callback_count
from study.execution.workers import Workers
from study.planning.plan import StudyPlan

if TYPE_CHECKING:
    from ray.tune.search import Searcher

    from study.execution.schedulers import ListeningScheduler
    from trainables.trial import TrialContext

#: CPUs that a trial asks for at least if another process trains it: Ray Tune refuses a trial that needs nothing.
_LEAST_CPUS = 0.01
#: Ray counts GPUs in ten-thousandths.
_GPU_DIGITS = 4


@dataclass(frozen=True)
class TrialQueue:
    """The trials of one phase and what happens on every turn of Ray's loop.

    Attributes:
        searcher: hands out configurations and records how trials end.
        scheduler: sees every result and answers stop or continue.
        folder: parent (a path or URI) and name of a new folder for Ray's own files. It must not exist, because Ray
            overwrites what it finds.
        on_step: called with Ray's trials on every turn of Ray's loop.
        on_interrupt: called before Ctrl-C ends Ray's loop.
    """

    searcher: "Searcher"
    scheduler: "ListeningScheduler"
    folder: tuple[str, str]
    on_step: Callable[[Sequence[Any]], None]
    on_interrupt: Callable[[], None] = lambda: None


def run_trials(plan: StudyPlan, workers: Workers, trainable: type, context: Any, queue: TrialQueue) -> None:
    """Run the trials of `queue` and return when all have ended.

    After Ctrl-C, Ray gives running trials ten seconds to end their leg and save a checkpoint.

    Args:
        plan: resources of a trial.
        workers: concurrent trials.
        trainable: Ray Trainable class whose setup takes `context`.
        context: given to every trial's setup through the object store.
        queue: the trials.

    Raises:
        KeyboardInterrupt: after Ctrl-C, even if no trial is missing. A second Ctrl-C does not wait for the trials.
    """
    from ray import tune

    resources = {"cpu": plan.cpus_per_trial, "gpu": plan.gpus_per_trial}
    if workers.per_process > 1:  # the GPU belongs to the process that trains
        resources = {"cpu": max(plan.cpus_per_trial, _LEAST_CPUS)}
    turns = _step_callback(queue.on_step, queue.on_interrupt)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, context=context), resources),
        tune_config=tune.TuneConfig(
            search_alg=queue.searcher,
            scheduler=queue.scheduler,
            num_samples=-1,  # until the searcher has no more
            max_concurrent_trials=workers.n_workers,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=queue.folder[1],
            storage_path=queue.folder[0],
            failure_config=tune.FailureConfig(max_failures=0),  # the searcher hands a crashed trial out again
            # The trainable saves its own checkpoints. Otherwise Ray asks a Trainable class for one at its end.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[turns],
            verbose=0,
        ),
    )
    before = signal.getsignal(signal.SIGINT)
    try:
        with surviving_memory_kills(), without_callback_count():
            tuner.fit()
    finally:
        # Tune leaves its own SIGINT handler behind, which would swallow the next Ctrl-C.
        signal.signal(signal.SIGINT, before)
    if turns.interrupted:
        raise KeyboardInterrupt


@contextmanager
def trainable_for(context: "TrialContext", plan: StudyPlan, workers: Workers) -> Iterator[tuple[type, Any]]:
    """Return the Trainable class of a phase and the argument of its setup.

    Each trial trains in its own process, or several train together in one process on a GPU. Processes that trials share
    end with the block.
    """
    from trainables.trial import CckdTrial, HostedContext, HostedTrial

    if workers.per_process == 1:
        yield CckdTrial, context
        return
    import ray

    from trainables.trial_host import TrialHost

    n_seats = workers.per_process
    # The host holds the GPU share of all its trials. Each trial holds its own CPUs and asks the host to train a leg.
    host = ray.remote(TrialHost).options(
        num_cpus=0,
        num_gpus=round(min(1.0, n_seats * plan.gpus_per_trial), _GPU_DIGITS),
        max_restarts=-1,
        # One running leg per seat, and calls that begin or end a trial.
        max_concurrency=3 * n_seats,
    )
    hosts = [host.remote(n_seats) for _ in range(math.ceil(workers.n_workers / n_seats))]
    try:
        yield HostedTrial, HostedContext(tuple(hosts), context)
    finally:
        for started in hosts:
            ray.kill(started)


def _step_callback(on_step: Callable[[Sequence[Any]], None], on_interrupt: Callable[[], None]) -> Any:
    from ray.tune import Callback

    class StepCallback(Callback):
        """Ray calls this after every turn of its loop. The turn in which Ctrl-C comes is the last one."""

        def __init__(self) -> None:
            self.interrupted = False
            self._end_loop: Callable[..., Any] = signal.default_int_handler

        def setup(self, *args: Any, **info: Any) -> None:
            """Install our SIGINT handler in front of Tune's, which Tune has installed before this call."""
            tune_handler = signal.getsignal(signal.SIGINT)
            if callable(tune_handler):
                self._end_loop = tune_handler  # it also makes the next Ctrl-C raise KeyboardInterrupt
            signal.signal(signal.SIGINT, self._interrupt)

        def _interrupt(self, *signal_arguments: Any) -> None:
            if self.interrupted:
                self._end_loop(*signal_arguments)
                signal.raise_signal(signal.SIGINT)
            self.interrupted = True

        def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
            on_step(trials)
            if self.interrupted:  # Tune's loop learns of Ctrl-C only here, so that the user always reads about it first
                on_interrupt()
                self._end_loop(signal.SIGINT, None)

        def __reduce__(self) -> tuple[Any, ...]:
            # Tune pickles its callbacks into tuner.pkl, which is never read again.
            return Callback, ()

    return StepCallback()
