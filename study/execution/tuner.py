"""Every argument that we give to Ray Tune, and the run of one queue of trials."""

import math
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ray import tune

from study.execution.hang_watchdog import HangWatchdog
from study.execution.nodes import Roster, selector
from study.execution.ray_private import surviving_memory_kills, without_callback_count
from study.execution.schedulers import ListeningScheduler
from study.execution.searchers import RetryingSearcher
from study.execution.workers import Workers
from study.planning.plan import StudyPlan
from study.terminal.signals import heed_signals

if TYPE_CHECKING:
    from trainables.trial_context import TrialContext

#: CPUs that a trial asks for at least if another process trains it: Ray Tune refuses a trial that needs nothing.
_LEAST_CPUS = 0.01
#: On a cluster our searcher limits the running trials, because nodes join and leave.
_NO_LIMIT = 10**6
#: Ray counts GPUs in ten-thousandths.
_GPU_DIGITS = 4


@dataclass(frozen=True)
class Phase:
    """One phase of a study: a queue of trials, and what the trials may read.

    Attributes:
        searcher: hands out the trials and records how they end.
        scheduler: sees every result and answers stop or continue; its `attempts` are shared with the searcher.
        folder: parent and name of a new folder for Ray's own files. It must not exist, because Ray
            overwrites what it finds.
        on_step: called on every turn of Ray's loop.
        on_interrupt: called before Ctrl-C ends Ray's loop.
        forwards_teacher: whether a trial may ask for `forward` targets, which need the backbone's weights.
        opens_test: whether trials may read the test set.
        is_temporary: remove the phase's objects from Ray's object store at its end. For one of many phases, each with
            its own bundle of data.
    """

    searcher: RetryingSearcher[Any]
    scheduler: ListeningScheduler
    folder: tuple[str, str]
    on_step: Callable[[], None]
    on_interrupt: Callable[[], None] = lambda: None
    forwards_teacher: bool = False
    opens_test: bool = False
    is_temporary: bool = False


def run_trials(plan: StudyPlan, workers: Workers, trainable: type, context: Any, phase: Phase) -> None:
    """Run the trials of a phase and return when all have ended. The workers of trials that hang are killed.

    After Ctrl-C, Ray gives running trials ten seconds to end their leg and save a checkpoint.

    Args:
        plan: resources of a trial, and the time after which it hangs.
        workers: concurrent trials.
        trainable: Ray Trainable class whose setup takes `context`.
        context: given to every trial's setup through the object store.
        phase: the trials.

    Raises:
        KeyboardInterrupt: after Ctrl-C, even if no trial is missing. A second Ctrl-C does not wait for the trials.
        Exception: an error of our own code in one of Ray's callbacks, for instance on a full disk.
    """
    resources = {"cpu": plan.cpus_per_trial, "gpu": plan.gpus_per_trial}
    if workers.per_process > 1:  # the GPU belongs to the process that trains
        resources = {"cpu": max(plan.cpus_per_trial, _LEAST_CPUS)}
    attempts, watchdog = phase.scheduler.attempts, HangWatchdog(phase.scheduler, plan.trial_timeout)
    places = None
    if workers.roster is not None:
        places = Places(workers.roster, {key.upper(): n for key, n in resources.items()})
        phase.scheduler.place = places.choose
        phase.searcher.at_once = lambda: workers.at_once(plan)

    def on_step(trials: Sequence[Any]) -> None:
        attempts.raise_fault()
        watchdog(trials)
        if places is not None:
            for trial in places.stranded(trials):
                phase.scheduler.controller.stop_trial(trial)
        phase.on_step()

    turns = StepCallback(on_step, phase.on_interrupt)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, context=context), resources),
        tune_config=tune.TuneConfig(
            search_alg=phase.searcher,
            scheduler=phase.scheduler,
            num_samples=-1,  # until the searcher has no more
            max_concurrent_trials=workers.n_workers if workers.roster is None else _NO_LIMIT,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=phase.folder[1],
            storage_path=phase.folder[0],
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
        attempts.raise_fault()
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
        label_selector=None if workers.roster is None else selector(workers.roster.usable()),
    )
    hosts = [host.remote(n_seats) for _ in range(math.ceil(workers.n_workers / n_seats))]
    try:
        yield HostedTrial, HostedContext(tuple(hosts), context)
    finally:
        for started in hosts:
            ray.kill(started)


class Places:
    """Where the trials of a cluster may run: on the nodes that could run trials when Ray looked for their place.

    Args:
        roster: the nodes.
        resources: of a trial, by Ray's names.
    """

    def __init__(self, roster: Roster, resources: Mapping[str, float]) -> None:
        self._roster, self._resources = roster, dict(resources)
        self._chosen: dict[str, frozenset[str]] = {}

    def choose(self, trial: Any) -> None:
        """Keep a new trial to the nodes that may run trials now."""
        nodes = frozenset(self._fitting())
        self._chosen[trial.trial_id] = nodes
        if nodes:  # otherwise the last one was lost a moment ago, and the trial is stranded
            wanted = tune.PlacementGroupFactory([self._resources], bundle_label_selector=[selector(nodes)])
            trial.update_resources(wanted)

    def stranded(self, trials: Sequence[Any]) -> Iterator[Any]:
        """Yield the trials that wait for nodes that are all lost; the searcher hands their runs out again."""
        fitting = self._fitting()
        for trial in trials:
            if trial.status == "PENDING" and not self._chosen[trial.trial_id] & fitting:
                yield trial

    def _fitting(self) -> set[str]:
        """Return the nodes that could hold the trial; a head node may offer no CPU."""
        return {
            node
            for node, offered in self._roster.usable().items()
            if all(offered.get(kind, 0.0) >= n for kind, n in self._resources.items())
        }


class StepCallback(tune.Callback):
    """Calls `on_step` on every turn of Ray's loop; the turn in which Ctrl-C comes is the last one.

    Args:
        on_step: called with Ray's trials.
        on_interrupt: called before Ctrl-C ends the loop.
    """

    def __init__(self, on_step: Callable[[Sequence[Any]], None], on_interrupt: Callable[[], None]) -> None:
        self.interrupted = False
        self._on_step, self._on_interrupt = on_step, on_interrupt
        self._end_loop: Callable[..., Any] = signal.default_int_handler

    def setup(self, *args: Any, **info: Any) -> None:
        """Install our handlers in front of Tune's, which Tune has installed before this call."""
        heed_signals()
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
        """Call `on_step`, then end the loop after Ctrl-C. So the user always reads of Ctrl-C before the loop ends."""
        self._on_step(trials)
        if self.interrupted:
            self._on_interrupt()
            self._end_loop(signal.SIGINT, None)

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its callbacks into tuner.pkl, which is never read again.
        return tune.Callback, ()
