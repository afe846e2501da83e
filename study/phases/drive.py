"""Drive one study from wherever it stands to its report: teacher, search, selection, baselines, confirmation, tables.

Starting and resuming are the same walk: every phase asks study.db what is left to do and does that.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from study.execution.cluster import ClusterError
from study.execution.nodes import check_nodes, described
from study.execution.tuner import behind_trials, ray_session
from study.phases.baselines import tune_baselines
from study.phases.confirmation import confirm
from study.phases.phase import Study, StudyFailed, StudyInterrupted, nothing_new
from study.phases.search import search
from study.phases.selection import select
from study.planning.manifest import now
from study.planning.plan import LOCAL
from study.records.run_tables import ConfirmRun
from study.signals import undisturbed
from study.teacher.bundle import prepare
from study.teacher.image_holding import hold_images
from study.teacher.worker_tasks import n_parameters
from study.terminal.progress import Progress
from trainables.cckd.metrics import balanced_accuracy
from trainables.cckd.records import ClassCounts
from trainables.checkpoint_store import is_uri


def drive(study: Study) -> None:
    """Run every phase that is not finished.

    Raises:
        StudyInterrupted: after Ctrl-C.
        StudyFailed: no trial completed.
    """
    try:
        with ray_session(study.checked.plan) as workers:
            study.store.update_manifest(status="running", phase="teacher", ended=None, workers=workers.n_workers)
            _check_nodes(study)
            study.checked = hold_images(study.checked, workers, study.progress)
            study.student = student_of(study)
            prepared = prepare(study.checked, workers, study.progress)
            described = _keep_passes(study.store.manifest()["teacher"], prepared.teacher)
            study.store.update_manifest(teacher=described)
            _say_teacher(study.progress, described)
            search(study, prepared, workers)
            study.file_student(wait=True)
            select(study, prepared, workers)
            tune_baselines(study, prepared, workers)
            confirm(study, prepared, workers)
            prepared.verification.wait()
        for line in teacher_warnings(study.store.manifest()["teacher"], study.ledger.runs.confirm_runs()):
            study.progress.say(f"NOTE     {line}")
    except KeyboardInterrupt:
        raise StudyInterrupted from None
    finally:
        with undisturbed():
            study.progress.end()
            study.export()


def _check_nodes(study: Study) -> None:
    """Ask the nodes of a cluster; a private Ray has one, and that is this machine."""
    plan = study.checked.plan
    if plan.address == LOCAL and not is_uri(plan.storage or ""):
        return
    if study.shelf.runs() and not study.ledger.n_asked:
        raise ClusterError(f"--storage must hold no study of this name; {study.shelf.root} has checkpoints of one")
    reports = check_nodes(study.checked, study.shelf)
    study.store.update_manifest(nodes=described(reports))
    study.progress.say(f"nodes    {len(reports)}: {'; '.join(map(str, reports))}")


def student_of(study: Study) -> Callable[[bool], dict[str, Any] | None]:
    """Begin to count the student's parameters; return what gives the manifest's entry, None before there is a new one.

    Counting needs torch, so a Ray worker does it, which imports it for seconds and gives way to trials meanwhile; only
    where the entry is asked to `wait` does anything wait for it. A resumed study has counted already.

    Raises:
        StudyFailed: by what is returned, for a student that cannot be built for these images.
    """
    name, data = study.checked.plan.student, study.checked.data
    known = study.store.manifest().get("student") or {}
    if known.get("name") == name and isinstance(known.get("n_parameters"), int):
        return nothing_new
    import ray

    channels, height, _ = data.image_shape
    count = behind_trials(n_parameters).remote(name, len(data.class_names), channels, height)

    def entry(wait: bool) -> dict[str, Any] | None:
        # Tables are written once more when Ray is gone, and to ask it would start another.
        if not wait and not (ray.is_initialized() and ray.wait([count], timeout=0)[0]):
            return None
        try:
            return {"name": name, "n_parameters": ray.get(count)}
        except ray.exceptions.RayTaskError as error:  # most of its text is where in timm it was raised
            raise StudyFailed(f"{error.cause}; begin another study with another --student") from error

    return entry


def _keep_passes(before: dict[str, Any] | None, teacher: dict[str, Any]) -> dict[str, Any]:
    """A resumed study finds the teacher's outputs in the cache; its passes stay those of the first start."""
    passes = before["forward_passes"] if before else 0
    return teacher | {"forward_passes": passes + teacher["forward_passes"]}


def _say_teacher(progress: Progress, teacher: dict[str, Any]) -> None:
    progress.say(
        f"teacher  {teacher['name']} ({teacher['form']}): balanced accuracy {teacher['val_balanced_accuracy']:.3f} on "
        f"val, {teacher['train_accuracy']:.3f} on train"
    )


def teacher_warnings(teacher: dict[str, Any], runs: Sequence[ConfirmRun]) -> list[str]:
    """What a reader must know before believing in this teacher: it is worse than the student without one."""
    found = [
        ClassCounts(tuple(run.record["val"]["correct"]), tuple(run.record["val"]["seen"]))
        for run in runs
        if run.entry == "la" and run.data_seed == 0 and run.record.get("val")
    ]
    if not found:
        return []
    la, own = float(np.mean([balanced_accuracy(counts) for counts in found])), teacher["val_balanced_accuracy"]
    if own >= la:
        return []
    return [
        f"THE TEACHER IS WORSE THAN la on val: balanced accuracy {own:.3f} against {la:.3f} (mean of {len(found)} "
        "seeds). What distilling from it gives is a finding about this teacher, not about the method"
    ]


def finish(study: Study, status: str) -> None:
    """Write how the study ended."""
    study.store.update_manifest(status=status, phase=None, ended=now(), counts=study.ledger.counts())
