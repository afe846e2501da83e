"""Every argument that we give to Ray Tune, and the run of the phases of a study in the same workers."""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ray import tune

from study.execution.course import Course, CourseScheduler, CourseSearcher
from study.execution.hang_watchdog import HangWatchdog
from study.execution.nodes import Roster, selector
from study.execution.ray_private import surviving_memory_kills, without_callback_count
from study.execution.workers import Workers
from study.planning.plan import StudyPlan
from study.terminal.signals import heed_signals

#: CPUs that a trial asks for at least if another process trains it: Ray Tune refuses a trial that needs nothing.
_LEAST_CPUS = 0.01
#: On a cluster our searcher limits the running trials, because nodes join and leave.
_NO_LIMIT = 10**6


def run_trials(plan: StudyPlan, workers: Workers, trainable: type, context: Any, course: Course) -> None:
    """Run the trials of a course and return when all have ended. The workers of trials that hang are killed.

    After Ctrl-C, Ray gives running trials ten seconds to end their leg and save a checkpoint.

    Args:
        plan: resources of a trial, and the time after which it hangs.
        workers: concurrent trials.
        trainable: Ray Trainable class whose setup takes `context`.
        context: given to every trial's setup through the object store.
        course: the trials.

    Raises:
        KeyboardInterrupt: after Ctrl-C, even if no trial is missing. A second Ctrl-C does not wait for the trials.
        Exception: what the study raises between two phases, or an error of our own code in one of Ray's callbacks, for
            instance on a full disk.
    """
    resources = {"cpu": plan.cpus_per_trial, "gpu": plan.gpus_per_trial}
    if workers.per_process > 1:  # the GPU belongs to the process that trains
        resources = {"cpu": max(plan.cpus_per_trial, _LEAST_CPUS)}
    places = None
    if workers.roster is None:
        searcher, scheduler = CourseSearcher(course), CourseScheduler(course, n_kept=workers.n_workers)
    else:
        places = Places(workers.roster, {key.upper(): n for key, n in resources.items()})
        searcher = CourseSearcher(course, lambda: workers.at_once(plan))
        scheduler = CourseScheduler(course, place=places.choose)
    watchdog = HangWatchdog(scheduler, plan.trial_timeout)

    def on_step(trials: Sequence[Any]) -> None:
        course.attempts.raise_fault()
        watchdog(trials)
        if places is not None:
            for trial in places.stranded(trials):
                scheduler.controller.stop_trial(trial)
        if not course.is_over:
            course.phase.on_step()

    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, context=context), resources),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=-1,  # until the searcher has no more
            max_concurrent_trials=workers.n_workers if workers.roster is None else _NO_LIMIT,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=course.folder[1],
            storage_path=course.folder[0],
            failure_config=tune.FailureConfig(max_failures=0),  # the searcher hands a crashed trial out again
            # The trainable saves its own checkpoints. Otherwise Ray asks a Trainable class for one at its end.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[StepCallback(course, on_step)],
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
        course.attempts.raise_fault()
    if course.is_interrupted:
        raise KeyboardInterrupt


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
        course: the trials; it is told of Ctrl-C.
        on_step: called with Ray's trials.
    """

    def __init__(self, course: Course, on_step: Callable[[Sequence[Any]], None]) -> None:
        self._course, self._on_step = course, on_step
        self._end_loop: Callable[..., Any] = signal.default_int_handler

    def setup(self, *args: Any, **info: Any) -> None:
        """Install our handlers in front of Tune's, which Tune has installed before this call."""
        heed_signals()
        tune_handler = signal.getsignal(signal.SIGINT)
        if callable(tune_handler):
            self._end_loop = tune_handler  # it also makes the next Ctrl-C raise KeyboardInterrupt
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, *signal_arguments: Any) -> None:
        if self._course.is_interrupted:
            self._end_loop(*signal_arguments)
            signal.raise_signal(signal.SIGINT)
        self._course.interrupt()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Call `on_step`, then end the loop after Ctrl-C. So the user always reads of Ctrl-C before the loop ends."""
        self._on_step(trials)
        if self._course.is_interrupted:
            self._course.on_interrupt()
            self._end_loop(signal.SIGINT, None)

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its callbacks into tuner.pkl, which is never read again.
        return tune.Callback, ()
