"""What the phases of a study share: the study itself, handing a queue of trials to Ray, and spent checkpoints."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.ledger import Ledger
from study.preflight import Checked
from study.prepare import Prepared, shared_weights
from study.progress import Progress
from study.store import StudyStore
from study.tuner import Workers, run_trials

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler
    from ray.tune.search import Searcher


class StudyInterrupted(Exception):
    """Ctrl-C: the study stands as it is and can be resumed."""


class StudyFailed(Exception):
    """The study can not go on; the message says why."""


@dataclass
class Study:
    """One study in progress: what it is, where it is kept, and what the user sees of it."""

    checked: Checked
    store: StudyStore
    ledger: Ledger
    progress: Progress

    @property
    def checkpoints(self) -> Path:
        """Folder of all trials' checkpoints."""
        storage = self.checked.plan.storage
        return Path(storage) / self.store.path.name / "checkpoints" if storage else self.store.checkpoints

    def ray_folder(self, phase: str) -> Path:
        """A folder for Ray's tree that does not exist yet: Ray destroys what it finds under a name."""
        storage = self.checked.plan.storage
        parent = Path(storage) / self.store.path.name / "ray" if storage else self.store.ray
        taken = {path.name for path in parent.glob(f"{phase}-*")}
        return next(parent / f"{phase}-{k}" for k in range(1, len(taken) + 2) if f"{phase}-{k}" not in taken)

    def export(self) -> None:
        """Write the tables and counts as study.db has them now; drop the checkpoints of finished trials."""
        self.store.export_tables(self.ledger, self.checked.space, self.checked.data.groups.to_dict())
        self.store.update_manifest(counts=self.ledger.counts())
        finished = {str(row.number) for row in self.ledger.rows() if row.state != "RUNNING"}
        for folder in self.checkpoints.glob("*/"):
            if folder.name in finished:
                shutil.rmtree(folder, ignore_errors=True)


def run_phase(
    study: Study,
    prepared: Prepared,
    workers: Workers,
    phase: str,
    searcher: "Searcher",
    scheduler: "TrialScheduler",
    n_trials: int,
    on_step: Any,
    *,
    test: bool = False,
) -> None:
    """Hand the phase to Ray; the test set goes into the object store only where `test` opens it."""
    import ray

    from trainables.cckd.assemble import assemble_test
    from trainables.trial import CckdTrial, TrialContext

    context = TrialContext(
        data=ray.put(prepared.data),
        teacher=shared_weights(study.checked, workers) if _may_run_teacher(study.checked) else None,
        test=ray.put(assemble_test(study.checked.data)) if test else None,
        device=workers.device,
        threads=workers.threads,
    )
    run_trials(
        study.checked.plan,
        workers,
        trainable=CckdTrial,
        context=context,
        searcher=searcher,
        scheduler=scheduler,
        n_trials=n_trials,
        folder=study.ray_folder(phase),
        on_step=on_step,
    )


def _may_run_teacher(checked: Checked) -> bool:
    """Whether a trial may ask for `forward` targets: the knob is fixed to them, or searched."""
    fixed = {**checked.space.fixed, **checked.plan.fixed_knobs}.get("mix_targets")
    return fixed == "forward" or any(knob.name == "mix_targets" for knob in checked.space.tunable)
