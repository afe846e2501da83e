"""What the phases of a study share: the study itself, handing a queue of trials to Ray, and spent checkpoints."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from study import schema
from study.execution.failure_budget import Failures
from study.execution.phase_objects import lending
from study.execution.trial_processes import training
from study.execution.tuner import Workers, run_trials
from study.planning.checked import Checked
from study.records.ledger import Ledger
from study.records.store import StudyStore
from study.teacher.bundle import Prepared, shared_weights
from study.terminal.progress import Progress
from trainables.cckd.files.atomic import write_bytes
from trainables.checkpoint_store import MODEL, Shelf

if TYPE_CHECKING:
    from ray.tune.search import Searcher

    from study.execution.schedulers import ListeningScheduler


class StudyInterrupted(Exception):
    """Ctrl-C: the study stands as it is and can be resumed."""


class StudyFailed(Exception):
    """The study can not go on; the message says why."""


class NothingComplete(StudyFailed):
    """Every trial of a search has ended and none is complete."""


@dataclass
class Study:
    """One study in progress: what it is, where it is kept, and what the user sees of it.

    Attributes:
        student: gives the manifest's entry of the student, None while there is no new one; True waits for it.
    """

    checked: Checked
    store: StudyStore
    ledger: Ledger
    progress: Progress
    student: Callable[[bool], dict[str, Any] | None] = field(default_factory=lambda: nothing_new, init=False)

    @property
    def entry(self) -> str:
        """What the search's winner is confirmed as."""
        return "best1"

    @property
    def candidate(self) -> str:
        """What the runs of the selection are called."""
        return "candidate"

    @property
    def what(self) -> str:
        """Names the search to the user."""
        return "search"

    @property
    def n_left(self) -> int:
        """Runs of the phases that come after the search."""
        plan = self.checked.plan
        return plan.n_selection_runs + len(plan.tuned_baselines) * plan.n_tuning_runs + plan.n_confirm_runs

    @cached_property
    def failures(self) -> Failures:
        """What has gone wrong so far, and whether to go on; it begins with what study.db holds."""
        plan = self.checked.plan
        return Failures(
            max_retries=plan.max_retries,
            max_failures=plan.failures_allowed,
            n_workers=self.store.manifest().get("workers") or 1,
            causes=self.ledger.causes_of_failure(),
        )

    @property
    def shelf(self) -> Shelf:
        """Where all trials' checkpoints lie."""
        return Shelf(self._stored(schema.CHECKPOINTS))

    def shelf_of(self, baseline: str) -> Shelf:
        """Where the checkpoints of a tuned baseline's trials lie."""
        return Shelf(self._stored(f"{schema.CHECKPOINTS}/{schema.BASELINE_PREFIX}{baseline}"))

    def keep(self, **found: Any) -> None:
        """Keep in the manifest what has been found."""
        self.store.update_manifest(**found)

    def ray_folder(self, phase: str) -> tuple[str, str]:
        """Parent and name of a folder for Ray's tree that does not exist yet: Ray destroys what it finds."""
        parent = self._stored(schema.RAY)
        taken = set(Shelf(parent).runs())
        return parent, next(f"{phase}-{k}" for k in range(1, len(taken) + 2) if f"{phase}-{k}" not in taken)

    def keep_model(self, run: str) -> None:
        """Copy what a run has exported into the study folder, which its node may not see."""
        self.store.models.mkdir(exist_ok=True)
        # Weights first: the JSON beside them says that they are whole.
        for file in sorted(self.shelf.fetch(run, MODEL).iterdir(), key=lambda file: file.suffix == ".json"):
            write_bytes(self.store.models / file.name, file.read_bytes())

    def _stored(self, what: str) -> str:
        storage = self.checked.plan.storage
        return f"{storage.rstrip('/')}/{self.store.path.name}/{what}" if storage else str(self.store.path / what)

    def file_student(self, *, wait: bool = False) -> None:
        """Put the student into the manifest once it is known; `wait` for that."""
        found = self.student(wait)
        if found is not None:
            self.keep(student=found)
            self.student = nothing_new

    def export(self) -> None:
        """Write the tables and counts as study.db has them now; drop the checkpoints of finished trials."""
        self.store.export_tables(self.ledger, self.checked.space, self.checked.data.groups.to_dict())
        self.file_student()
        failed = [f"{name}: {run.cause}" for name, run in self.ledger.runs.rerun_attempts().items() if run.failed]
        self.store.update_manifest(counts=self.ledger.counts(), failures=failed)
        baselines = self.ledger.baselines.items()
        for shelf, ledger in ((self.shelf, self.ledger), *((self.shelf_of(name), own) for name, own in baselines)):
            for run in set(map(str, ledger.finished)).intersection(shelf.runs()):
                shelf.remove(run)


def nothing_new(wait: bool) -> None:
    """The `student` of a study whose manifest has it."""


def check_failures(study: Study) -> None:
    """Stop the study where more has failed than its user allows, or everything crashes.

    Raises:
        StudyFailed: with what fails most.
    """
    if study.failures.verdict:
        study.export()
        raise StudyFailed(study.failures.verdict)


def run_phase(
    study: Study,
    prepared: Prepared,
    workers: Workers,
    phase: str,
    searcher: "Searcher",
    scheduler: "ListeningScheduler",
    on_step: Callable[[], None],
    *,
    test: bool = False,
    passing: bool = False,
) -> None:
    """Hand the phase to Ray; the test set goes into the object store only where `test` opens it.

    A `passing` phase gives the store's memory back at its end; it is one of many, each with a bundle of its own.
    Workers of trials that hang are killed. Features from the teacher's cache are verified while the first trials start
    to train, and before any result of theirs is filed.

    Raises:
        KeyboardInterrupt: Ctrl-C was heard.
        TeacherError: the cache holds other features than the teacher gives now.
        Exception: what a callback of ours raised, a full disk for instance.
    """
    import ray

    from study.execution.hang_watchdog import HungWatch
    from trainables.cckd.bundle.assemble import assemble_test
    from trainables.trial import TrialContext

    study.failures.before_results = prepared.verification.wait
    watch = HungWatch(scheduler, study.failures, study.checked.plan.trial_timeout)

    def on_turn(trials: Sequence[Any]) -> None:
        _raise_fault(study)
        watch(trials)
        on_step()

    with lending() if passing else nullcontext(ray.put) as put:
        context = TrialContext(
            data=put(prepared.data),
            teacher=shared_weights(study.checked, workers) if _may_run_teacher(study.checked) else None,
            test=put(assemble_test(study.checked.data)) if test else None,
            device=workers.device,
            precision=study.checked.plan.precision,
            threads=workers.threads,
        )
        try:
            with training(context, study.checked.plan, workers) as (trainable, given):
                run_trials(
                    study.checked.plan,
                    workers,
                    trainable=trainable,
                    context=given,
                    searcher=searcher,
                    scheduler=scheduler,
                    folder=study.ray_folder(phase),
                    on_step=on_turn,
                    on_interrupt=lambda: study.progress.say(
                        "Ctrl-C   running trials have ten seconds to save a checkpoint; Ctrl-C again ends them now"
                    ),
                )
        finally:
            _raise_fault(study)


def _raise_fault(study: Study) -> None:
    """Raise the error of a callback in place of what Ray has made of it, if anything."""
    if study.failures.fault is not None:
        raise study.failures.fault


def _may_run_teacher(checked: Checked) -> bool:
    """Whether a trial may ask for `forward` targets: the knob is fixed to them, or searched."""
    fixed = {**checked.space.fixed, **checked.plan.fixed_knobs}.get("mix_targets")
    return fixed == "forward" or any(knob.name == "mix_targets" for knob in checked.space.tunable)
