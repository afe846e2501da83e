"""Every argument that we give to Ray Tune, and the run of the phases of a study in the same workers."""

import math
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from study.execution.attempts import AttemptLog
from study.execution.hang_watchdog import HangWatchdog
from study.execution.nodes import Roster, selector
from study.execution.ray_private import surviving_memory_kills, without_callback_count
from study.execution.schedulers import ListeningScheduler
from study.execution.searchers import RetryingSearcher
from study.execution.workers import Workers
from study.planning.plan import StudyPlan
from study.terminal.signals import heed_signals

#: CPUs that a trial asks for at least if another process trains it: Ray Tune refuses a trial that needs nothing.
_LEAST_CPUS = 0.01
#: On a cluster our searcher limits the running trials, because nodes join and leave.
_NO_LIMIT = 10**6


@dataclass(frozen=True)
class Phase:
    """One phase of a study: a queue of trials.

    Attributes:
        searcher: hands out the trials and records how they end.
        scheduler: sees every result and answers stop or continue.
        on_step: called on every turn of Ray's loop.
    """

    searcher: RetryingSearcher[Any]
    scheduler: ListeningScheduler
    on_step: Callable[[], None]


class Course:
    """Phases that follow one another in the same workers, and what their trials may read.

    The code of a study between two phases is a generator's, `phases`. It goes on when all trials of a phase have
    ended, so that it may read their results, and yields the next phase.

    Attributes:
        phase: the present one; the last one after the end.
        attempts: of all phases; each phase's searcher and scheduler have it too.
        is_over: whether every phase has come to its end.
        is_between: whether the study's own code runs, between two phases.
        is_interrupted: returns whether Ctrl-C was pressed since the course began.
        folder: parent and name of a new folder for Ray's own files. It must not exist, because Ray overwrites what it
            finds.
        on_interrupt: called before Ctrl-C ends Ray's loop.
        forwards_teacher: whether a trial may ask for `forward` targets, which need the backbone's weights.
        opens_test: whether trials may read the test set; each one reads it only where its configuration says so.
        is_temporary: remove the objects of the course from Ray's object store at its end. For one of many courses, each
            with its own bundle of data.
    """

    def __init__(
        self,
        phase: Phase,
        phases: Iterator[Phase],
        attempts: AttemptLog,
        folder: tuple[str, str],
        *,
        on_interrupt: Callable[[], None] = lambda: None,
        forwards_teacher: bool = False,
        opens_test: bool = False,
        is_temporary: bool = False,
    ) -> None:
        self.phase, self._phases, self.attempts, self.folder = phase, phases, attempts, folder
        self.on_interrupt, self.is_over, self.is_between = on_interrupt, False, False
        self.is_interrupted: Callable[[], bool] = lambda: False
        self.forwards_teacher, self.opens_test, self.is_temporary = forwards_teacher, opens_test, is_temporary

    def advance(self) -> bool:
        """Let the study end the present phase and begin the next one; return False if there is none.

        Raises:
            KeyboardInterrupt: after Ctrl-C: no trial runs that could save a checkpoint.
            Exception: what the study raises between two phases.
        """
        self.is_between = True
        try:
            if self.is_interrupted():
                raise KeyboardInterrupt
            with self.attempts.keeping_fault():
                following = next(self._phases, None)
        finally:
            self.is_between = False
        self.is_over = following is None
        self.phase = following or self.phase
        return not self.is_over


class CourseSearcher(Searcher):
    """Hands Ray the trials of the present phase, and those of the next one when all have ended.

    Args:
        course: the phases.
        at_once: returns the most trials that may be under way now.
    """

    def __init__(self, course: Course, at_once: Callable[[], float] = lambda: math.inf) -> None:
        super().__init__(metric=None, mode=None)
        self._course, self._at_once = course, at_once

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial's Ray configuration, or FINISHED; None while trials must end first."""
        attempts = self._course.attempts
        if attempts.n_running >= self._at_once() and not attempts.budget.verdict:
            return None
        found = self._course.phase.searcher.suggest(trial_id)
        while found == Searcher.FINISHED:
            if attempts.n_running:
                return None
            if not self._course.advance():
                break
            found = self._course.phase.searcher.suggest(trial_id)
        return found

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record how a trial ended. Those of earlier phases have all ended."""
        self._course.phase.searcher.on_trial_complete(trial_id, result, error)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: study.db holds everything."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: study.db holds everything."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher into tuner.pkl, which is never read again. A generator cannot be pickled.
        return {}


class CourseScheduler(ListeningScheduler):
    """Shows each result to the scheduler of the present phase."""

    def __init__(self, course: Course) -> None:
        super().__init__(course.attempts)
        self._course = course

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return whether the present phase lets the trial go on."""
        return self._course.phase.scheduler.on_trial_result(tune_controller, trial, result)


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
    searcher, scheduler, attempts = CourseSearcher(course), CourseScheduler(course), course.attempts
    watchdog = HangWatchdog(scheduler, plan.trial_timeout)
    places = None
    if workers.roster is None:
        scheduler.n_kept = workers.n_workers
    else:
        places = Places(workers.roster, {key.upper(): n for key, n in resources.items()})
        scheduler.place = places.choose
        searcher = CourseSearcher(course, lambda: workers.at_once(plan))

    def on_step(trials: Sequence[Any]) -> None:
        attempts.raise_fault()
        watchdog(trials)
        if places is not None:
            for trial in places.stranded(trials):
                scheduler.controller.stop_trial(trial)
        if not course.is_over:
            course.phase.on_step()

    turns = StepCallback(on_step, course.on_interrupt, lambda: course.is_between)
    course.is_interrupted = lambda: turns.interrupted
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
        is_between: returns whether no trial runs, so that Ctrl-C need not wait for the end of the turn.
    """

    def __init__(
        self,
        on_step: Callable[[Sequence[Any]], None],
        on_interrupt: Callable[[], None],
        is_between: Callable[[], bool] = lambda: False,
    ) -> None:
        self.interrupted = False
        self._on_step, self._on_interrupt, self._is_between = on_step, on_interrupt, is_between
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
        if self._is_between():
            raise KeyboardInterrupt

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Call `on_step`, then end the loop after Ctrl-C. So the user always reads of Ctrl-C before the loop ends."""
        self._on_step(trials)
        if self.interrupted:
            self._on_interrupt()
            self._end_loop(signal.SIGINT, None)

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its callbacks into tuner.pkl, which is never read again.
        return tune.Callback, ()
