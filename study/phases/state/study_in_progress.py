"""A study in progress: what its phases share, how one of them is run, and the limits on failures."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from study import schema
from study.execution.attempts import AttemptLog
from study.execution.failure_budget import FailureBudget
from study.execution.tasks import Future, TaskDied, TaskError
from study.execution.workers import Workers
from study.phases.state.engine import Engine
from study.planning.checked import Checked
from study.planning.preview.estimate import trials_here
from study.planning.preview.missing import pace_of
from study.records.ledger import Ledger
from study.records.store import StudyStore
from study.teacher.bundle import Prepared
from study.terminal.command_line import resume_command
from study.terminal.faults import one_line
from study.terminal.pace import Pace, TimeBudget
from study.terminal.progress import Progress
from trainables.cckd.files.atomic import write_bytes
from trainables.checkpoint_store import MODEL, CheckpointStore

if TYPE_CHECKING:
    from study.execution.course import Phase

log = logging.getLogger("study")

#: The code of a study that yields phases, given the attempts of all of them and the workers of the Ray session.
Phases = Callable[[AttemptLog, Workers], Iterator["Phase"]]


@dataclass(frozen=True)
class Analyses:
    """What a study asks of the analysis. The commands give it, because no phase imports the analysis.

    Attributes:
        build_report: builds the report of the study in a folder and returns its page.
        screened_knobs: returns the knobs that the search of the study in a folder shows to matter, the clearest first.
        look: returns whether that search is settled, and what was found in words, with knobs named at a share of the
            level. A process beside the driver calls it.
    """

    build_report: Callable[[Path], Path]
    screened_knobs: Callable[[Path], Sequence[str]]
    look: Callable[[Path, float], tuple[bool, str]]


class StudyFailed(Exception):
    """The study cannot go on; the message says why."""


class NothingComplete(StudyFailed):
    """Every trial of a search has ended and none is complete."""


@dataclass
class Study:
    """One study in progress: its plan and data, its folder, and its progress line.

    Attributes:
        analyses: what the commands give of the analysis.
        engine: runs phases on Ray.
        student: the number of the student's parameters while a worker counts it; None if the manifest has it.
        pace: epochs of all phases since the start.
        time: what --max-hours leaves.
        cut: what --max-hours has left out, in words.
    """

    checked: Checked
    store: StudyStore
    ledger: Ledger
    progress: Progress
    analyses: Analyses
    engine: Engine = field(default_factory=Engine)
    student: Future | None = field(default=None, init=False)
    pace: Pace = field(default_factory=Pace, init=False)
    time: TimeBudget = field(init=False)
    cut: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.time = TimeBudget(self.checked.plan.max_hours)

    @cached_property
    def budget(self) -> FailureBudget:
        """The failures so far, those in study.db included, and the limits on them."""
        plan = self.checked.plan
        return FailureBudget(
            max_retries=plan.max_retries,
            max_failures=plan.failures_allowed,
            n_workers=self.store.manifest().get("workers") or 1,
            causes=self.ledger.causes_of_failure(),
        )

    @property
    def checkpoints(self) -> CheckpointStore:
        """The checkpoints of the study's own trials and of all reruns."""
        return CheckpointStore(self._stored(schema.CHECKPOINTS))

    def checkpoints_of(self, baseline: str) -> CheckpointStore:
        """Return the checkpoints of a tuned baseline's trials, which have the same numbers as the study's own."""
        return CheckpointStore(self._stored(f"{schema.CHECKPOINTS}/{schema.BASELINE_PREFIX}{baseline}"))

    def ray_folder(self, course: str) -> tuple[str, str]:
        """Return parent and name of a new folder for Ray's own files; Ray destroys what it finds in one.

        It lies in the study folder: only the driver writes these files, and nothing reads them again.
        """
        parent = str(self.store.path / schema.RAY)
        taken = set(CheckpointStore(parent).runs())
        return parent, next(f"{course}-{k}" for k in range(1, len(taken) + 2) if f"{course}-{k}" not in taken)

    def keep_model(self, run: str) -> None:
        """Copy the exported model of a run into the study folder, which the run's node may not see."""
        self.store.models.mkdir(exist_ok=True)
        # Weights first: the JSON file beside them says that they are complete.
        for file in sorted(self.checkpoints.fetch(run, MODEL).iterdir(), key=lambda file: file.suffix == ".json"):
            write_bytes(self.store.models / file.name, file.read_bytes())

    def has_time_for(self, n_trials: float) -> bool:
        """Return whether the training of so many trials would end within --max-hours, at the speed that is measured.

        While too little is measured, the mean cost of the trials in study.db stands for it.
        """
        plan = self.checked.plan
        if plan.max_hours is None:
            return True
        n_epochs = n_trials * plan.epochs
        seconds = self.pace.seconds_for(n_epochs)
        return self.time.fits(self._seconds_by_trials(n_epochs) if seconds is None else seconds)

    def _seconds_by_trials(self, n_epochs: float) -> float | None:
        epoch_s, at_once = pace_of(self.checked.plan, self.ledger, self.store.manifest())
        return None if epoch_s is None else n_epochs * epoch_s / (at_once or trials_here(self.checked.plan) or 1)

    def leave_out(self, what: str) -> None:
        """Note and say that --max-hours leaves something out."""
        self.cut.append(what)
        self.progress.say(f"NOTE     {what}: left out, would not fit --max-hours {self.checked.plan.max_hours:g}")

    def record_student(self, *, wait: bool = False) -> None:
        """Write the student's number of parameters to the manifest if it is known; `wait` for it.

        A count whose process has died is left to the next start, because no run needs it.

        Raises:
            StudyFailed: this student cannot be built for these images.
        """
        if self.student is None or not (wait or self.student.is_ready):
            return
        try:
            n_parameters = self.student.result()
        except TaskDied as death:
            self.student = None
            log.warning("the student's parameters are not counted: %s", one_line(str(death)))
            return
        except TaskError as error:
            raise StudyFailed(f"{error}; begin another study with another --student") from error
        self.store.update_manifest(student={"name": self.checked.plan.student, "n_parameters": n_parameters})
        self.student = None

    def export(self) -> None:
        """Write the tables and counts from study.db, and remove the checkpoints of finished runs.

        A driver may have died after it recorded a run and before it removed the checkpoints.
        """
        self.store.export_tables(self.ledger, self.checked.space, self.checked.data.groups.to_dict())
        self.record_student()
        failed = [f"{name}: {run.cause}" for name, run in self.ledger.runs.rerun_attempts().items() if run.failed]
        self.store.update_manifest(counts=self.ledger.counts(), failures=failed)
        try:
            self._sweep()
        except OSError as error:  # an object store is out of order; the next export sweeps again
            log.warning("checkpoints of finished runs are not removed: %s", one_line(str(error)))

    def _sweep(self) -> None:
        baselines = self.ledger.baselines.items()
        for kept, ledger in ((self.checkpoints, self.ledger), *((self.checkpoints_of(b), own) for b, own in baselines)):
            finished = {*map(str, ledger.finished), *ledger.runs.recorded_reruns()}
            for run in finished.intersection(kept.runs()):
                kept.remove(run)

    def check_failures(self) -> None:
        """Stop the study if its failures exceed a limit.

        Raises:
            StudyFailed: with the most frequent cause.
        """
        if self.budget.damage:
            self.export()
            raise StudyFailed(self.with_damage(self.budget.damage.partition(": ")[2]))
        if self.budget.verdict:
            self.export()
            raise StudyFailed(self.budget.verdict)

    def with_damage(self, what: str) -> str:
        """Return what is said of damaged image files that end the study: what is wrong, and how to go on."""
        store = self.checked.image_store
        if store is not None and str(store.folder) in what:
            return f"{what}; a file of the image store is made again when the study goes on: " + resume_command(
                self.store.path
            )
        if not self._may_leave(what):
            return f"{what}; a file that only another cut has cannot be left out; restore it, then go on: " + (
                resume_command(self.store.path)
            )
        return f"{what}; restore what is damaged, or leave it out: {resume_command(self.store.path, '--skip-corrupt')}"

    def _may_leave(self, what: str) -> bool:
        """Whether --skip-corrupt looks at the damaged files: it decodes those of the study's own cut."""
        data, n_cuts = self.checked.data, self.checked.plan.data_seeds
        own = (str(files.root / path) for files in data.image_files for path in files.paths)
        return n_cuts == 1 or any(path in what for path in own)

    def new_attempts(self, prepared: Prepared) -> AttemptLog:
        """Return a new attempt log for the phases of a course.

        Features from the teacher's cache are verified before its results are taken, while its first trials train.
        """
        return AttemptLog(self.budget, prepared.verification.wait, self.pace.note)

    def run(
        self,
        prepared: Prepared,
        workers: Workers,
        phases: Phases,
        *,
        title: str,
        forwards_teacher: bool,
        opens_test: bool = False,
        is_temporary: bool = False,
    ) -> None:
        """Run phases to their end, one after the other in the same workers.

        Args:
            prepared: the data of the trials.
            workers: of the Ray session.
            phases: returns the phases that have trials left, and does between them what a study does there. While it
                does so, idle workers may hold every core: it must ask Ray for none.
            title: names the folder of Ray's own files.
            forwards_teacher, opens_test, is_temporary: as in `Course`.

        Raises:
            KeyboardInterrupt: after Ctrl-C: Ray has returned and runs are missing.
            StudyFailed: failures exceed a limit.
            TeacherError: the teacher's cache holds other features than the teacher computes now.
        """
        from study.execution.course import Course  # and with it Ray Tune

        attempts = self.new_attempts(prepared)
        left = phases(attempts, workers)
        first = next(left, None)
        if first is None:
            return
        course = Course(
            first,
            left,
            attempts,
            self.ray_folder(title),
            on_interrupt=self.warn_of_interrupt,
            forwards_teacher=forwards_teacher,
            opens_test=opens_test,
            is_temporary=is_temporary,
        )
        self.engine.run(self.checked, prepared, workers, course)
        if not course.is_over:
            self.check_failures()
            raise KeyboardInterrupt

    def end_phase(self) -> None:
        """End the progress line of a phase whose trials have all ended.

        Raises:
            StudyFailed: failures exceed a limit.
        """
        self.check_failures()
        self.progress.end()

    def warn_of_interrupt(self) -> None:
        """Tell the user what the first Ctrl-C does and what a second one does."""
        self.progress.say("Ctrl-C   running trials have ten seconds to save a checkpoint; Ctrl-C again ends them now")

    def _stored(self, what: str) -> str:
        storage = self.checked.plan.storage
        return f"{storage.rstrip('/')}/{self.store.path.name}/{what}" if storage else str(self.store.path / what)
