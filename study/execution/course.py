"""A course: phases that follow one another in the same workers, and the one searcher and one scheduler that Ray sees.

Ray calls the scheduler's `on_trial_result` for every result except a trial's last one, which has `done` set and goes to
the searcher. It calls `on_trial_error` for every crash, just before the searcher's `on_trial_complete(error=True)`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from study.execution.attempts import AttemptLog
from study.execution.failure_causes import cause_of
from study.execution.ray_private import controller_behind, keep_idle_workers
from study.execution.searchers import RetryingSearcher


@dataclass(frozen=True)
class Phase:
    """One phase of a study: a queue of trials.

    Attributes:
        searcher: hands out the trials, judges their results, and records how they end.
        on_step: called on every turn of Ray's loop.
    """

    searcher: RetryingSearcher[Any]
    on_step: Callable[[], None]


class Course:
    """Phases that follow one another in the same workers, and what their trials may read.

    The code of a study between two phases is a generator's, `phases`. It goes on when all trials of a phase have
    ended, so that it may read their results, and yields the next phase.

    Attributes:
        phase: the present one; the last one after the end.
        attempts: of all phases; each phase's searcher has it too.
        is_over: whether every phase has come to its end.
        is_interrupted: whether Ctrl-C was pressed since the course began.
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
        self.on_interrupt, self.is_over, self.is_interrupted, self._is_between = on_interrupt, False, False, False
        self.forwards_teacher, self.opens_test, self.is_temporary = forwards_teacher, opens_test, is_temporary

    def advance(self) -> bool:
        """Let the study end the present phase and begin the next one; return False if there is none.

        Raises:
            KeyboardInterrupt: after Ctrl-C: no trial runs that could save a checkpoint.
            Exception: what the study raises between two phases.
        """
        self._is_between = True
        try:
            if self.is_interrupted:
                raise KeyboardInterrupt
            with self.attempts.keeping_fault():
                following = next(self._phases, None)
        finally:
            self._is_between = False
        self.is_over = following is None
        self.phase = following or self.phase
        return not self.is_over

    def interrupt(self) -> None:
        """Note Ctrl-C: no further phase begins.

        Raises:
            KeyboardInterrupt: where the study's own code runs between two phases: there is no trial to wait for.
        """
        self.is_interrupted = True
        if self._is_between:
            raise KeyboardInterrupt


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


class CourseScheduler(FIFOScheduler):
    """Starts trials in the order in which they come, and stops those that the present phase gives up.

    It notes the cause of every crash in the course's attempts.

    Args:
        course: the phases.
        place: called with a new trial before Ray looks for its place.
        n_kept: workers that Ray keeps when they have no trial, beside those that pending trials need.

    Attributes:
        attempts: of the course.
        controller: Ray Tune's controller; None until Ray has added the first trial.
    """

    def __init__(self, course: Course, *, place: Callable[[Trial], None] = lambda trial: None, n_kept: int = 0) -> None:
        super().__init__()
        self._course, self._place, self._n_kept = course, place, n_kept
        self.attempts = course.attempts
        self.controller: Any = None

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Keep the controller, say where the trial may run, and have Ray keep idle workers from the first trial on."""
        is_first = self.controller is None
        self.controller = controller_behind(tune_controller)
        self._place(trial)
        if is_first and self._n_kept:
            keep_idle_workers(self.controller, trial, self._n_kept)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Ask the searcher of the present phase whether the trial goes on."""
        stops = self._course.phase.searcher.on_result(trial.trial_id, result)
        return TrialScheduler.STOP if stops else TrialScheduler.CONTINUE

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Note the cause of a crash; the searcher reads it a moment later."""
        # Ray has just written the exception into the driver's own staging folder. Its public accessors look in
        # storage_path, where the file arrives later. We read the text and not the pickle beside it: unpickling a file
        # can run any code.
        with self.attempts.keeping_fault():
            self.attempts.crash(trial.trial_id, cause_of(Path(trial.error_file).read_text()))

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its scheduler into tuner.pkl, which is never read again. Database handles cannot be pickled.
        return {}
