"""The whole way of a study, from its present state to its tables: teacher, search, selection, baselines, confirmation,
longer runs, ablation.

Starting and resuming are the same: every phase asks study.db what is left to do, and does that.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from study.execution.nodes import NodeReport, Roster, check_nodes, described, needed_files
from study.execution.tasks import Future
from study.execution.workers import ray_session
from study.phases.precision import begin_timing, decide_precision
from study.phases.state.study_in_progress import Study, StudyFailed
from study.planning.manifest import now
from study.planning.plan import LOCAL
from study.planning.tail_subsets import left_out
from study.records.connection import disk_fault
from study.records.run_tables import ConfirmRun
from study.schema import CAUTIONS, LEFT_OUT, SEARCH_LOOKS, CautionReason, PhaseName, n_ended
from study.strategy.stopping import SETTLED
from study.teacher.bundle import damaged_images, decode_images
from study.teacher.small_images import claim_store, from_store
from study.teacher.worker_tasks import n_parameters
from study.terminal.signals import undisturbed
from trainables.cckd.errors import DamagedImageError, DataError, first_few
from trainables.cckd.metrics import balanced_accuracy
from trainables.checkpoint_store import is_uri

log = logging.getLogger("study")


def drive(study: Study) -> None:
    """Run every phase that is not finished.

    Raises:
        KeyboardInterrupt: after Ctrl-C.
        StudyFailed: failures exceed a limit, or no trial is complete.
    """
    try:
        with _in_order_at_the_end(study), ray_session(study.checked.plan) as workers, claim_store(study.checked):
            begun = {"status": "running", "phase": PhaseName.TEACHER, "ended": None, "workers": workers.n_workers}
            study.store.update_manifest(**begun)
            workers = replace(workers, roster=_check_nodes(study))
            timing = begin_timing(study, workers)
            _leave_out_damaged(study)
            study.checked = from_store(study.checked)
            if workers.roster is not None and study.checked.image_store is not None:
                workers.roster.check(needed_files(study.checked))
            study.checked = decode_images(study.checked)
            study.student = count_parameters(study)
            prepared = study.engine.prepare(study.checked, workers, study.progress)
            _note_teacher(study, prepared.teacher)
            decide_precision(study, timing)
            # Ray Tune takes most of a second to import. Meanwhile the workers of a private Ray start.
            from study.phases.courses import run_courses

            run_courses(study, prepared, workers)
            prepared.verification.wait()
        for line in teacher_warnings(study.store.manifest()["teacher"], study.ledger.runs.confirm_runs()):
            study.progress.say(f"NOTE     {line}")
    except DataError as error:
        damage = isinstance(error, DamagedImageError)
        raise StudyFailed(study.with_damage(str(error)) if damage else str(error)) from error


@contextmanager
def _in_order_at_the_end(study: Study) -> Iterator[None]:
    """Note which trials the end of the block interrupts, and write the tables.

    A disk that refuses this hides no error of the block. Trials without the note have no `stopped`, as after a driver
    that was killed; the next start writes the tables.
    """
    try:
        yield
    except BaseException:
        try:
            _put_in_order(study)
        except Exception as error:
            if disk_fault(error) is None:
                raise
            log.warning("interrupted trials and tables are not written: %s", disk_fault(error))
        raise
    _put_in_order(study)


def _put_in_order(study: Study) -> None:
    with undisturbed():
        study.progress.end()
        for ledger in (study.ledger, *study.ledger.baselines.values()):
            ledger.note_interruption()
        study.export()


def _check_nodes(study: Study) -> Roster | None:
    """Check the nodes of a cluster and return them; None for a private Ray, whose only node is this machine."""
    plan = study.checked.plan
    if plan.address == LOCAL and not is_uri(plan.storage or ""):
        return None

    def tell(line: str, reports: Sequence[NodeReport]) -> None:
        log.info("%s", line)
        study.progress.say(f"NOTE     {line}")
        study.store.update_manifest(nodes=described(reports))

    roster = check_nodes(study.checked, study.checkpoints, tell)
    reports = roster.reports
    study.store.update_manifest(nodes=described(reports))
    study.progress.say(f"nodes    {len(reports)}: {'; '.join(map(str, reports))}")
    return None if plan.address == LOCAL else roster


def _leave_out_damaged(study: Study) -> None:
    """Decode every image file once; what fails leaves the study if the plan allows it. Note all files that have left.

    The teacher's pass and all runs from here on are of the images that remain. Runs that were interrupted begin again.

    Raises:
        StudyFailed: files are damaged, and the plan does not leave such files out.
        DataError: a class would have no image left, or cuts of the long tail would have unequal numbers.
    """
    damaged = damaged_images(study.checked, study.progress)
    if damaged and not study.checked.plan.skip_corrupt:
        raise StudyFailed(study.with_damage(first_few(damaged.values())))
    if damaged:
        study.checked = left_out(study.checked, {path: error.what for path, error in damaged.items()})
    known = study.store.manifest()["data"].get(LEFT_OUT, {})
    lost = {path: what for path, what in study.checked.data.left_out.items() if path not in known}
    if lost:
        _note_lost(study, lost)


def _note_lost(study: Study, lost: Mapping[str, str]) -> None:
    """Write to the manifest which files have left, and remove the checkpoints of runs that were trained with them."""
    manifest, data = study.store.manifest(), study.checked.data
    ended = n_ended(study.ledger.counts())
    when = f"after {_count(ended, 'trial')} had ended; {'its' if ended == 1 else 'their'} results stay"
    when = when if ended else "before a trial had ended"
    text = f"{_count(len(lost), 'image file')} left the data set {when}. Damaged or gone: {first_few(lost)}"
    for kept in (study.checkpoints, *map(study.checkpoints_of, study.ledger.baselines)):
        for run in kept.runs():
            kept.remove(run)
    study.store.update_manifest(
        data=manifest["data"]
        | {"sha256": data.sha256, LEFT_OUT: dict(data.left_out), "cuts": list(study.checked.cuts)},
        **{CAUTIONS: [*manifest.get(CAUTIONS, []), {"reason": CautionReason.FILES_LEFT_OUT, "text": text}]},
    )
    log.warning("image files that left the study:\n%s", "\n".join(f"{path} {what}" for path, what in lost.items()))
    study.progress.say(f"NOTE     {text}; {study.store.log} says why")


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def count_parameters(study: Study) -> Future | None:
    """Start to count the student's parameters; None if they are known: of a student of ours, or from an earlier start.

    Counting needs torch. So a worker does it, which imports torch for seconds at a low priority while trials run.
    """
    name, data = study.checked.plan.student, study.checked.data
    known = study.store.manifest().get("student") or {}
    if known.get("name") == name and isinstance(known.get("n_parameters"), int):
        return None
    channels, height, _ = data.image_shape
    student = name, len(data.class_names), channels, height
    return study.engine.beside(n_parameters, *student)


def _note_teacher(study: Study, teacher: dict[str, Any]) -> None:
    """Write the teacher to the manifest and say how good it is.

    Its passes are added to those of earlier starts; a resumed study finds the outputs in the cache.
    """
    before = study.store.manifest()["teacher"]
    passes = teacher["forward_passes"] + (before["forward_passes"] if before else 0)
    study.store.update_manifest(teacher=teacher | {"forward_passes": passes})
    study.progress.say(
        f"teacher  {teacher['name']} ({teacher['form']}): balanced accuracy {teacher['val_balanced_accuracy']:.3f} on "
        f"val, {teacher['train_accuracy']:.3f} on train"
    )


def teacher_warnings(teacher: dict[str, Any], runs: Sequence[ConfirmRun]) -> list[str]:
    """Return a warning if the teacher is worse than the student that is trained without a teacher (`la`)."""
    own_cut = [run for run in runs if (run.entry, run.data_seed, run.epochs_factor) == ("la", 0, 1)]
    found = [run.val for run in own_cut if run.val is not None]
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
    """Write to the manifest how the study ended, and what its time did not allow."""
    manifest = study.store.manifest()
    known = manifest.get(CAUTIONS, [])
    again = CautionReason.TIME_CUT, CautionReason.SETTLED
    cautions = [one for one in known if not isinstance(one, dict) or one.get("reason") not in again]
    if study.cut:
        text = f"--max-hours {study.checked.plan.max_hours:g} left out {'; '.join(study.cut)}"
        cautions.append({"reason": CautionReason.TIME_CUT, "text": text})
    plan, n_finished = study.checked.plan, study.ledger.finished_total
    if plan.stop_when == SETTLED and n_finished < plan.trials and not study.ledger.unfinished():
        for row in manifest.get(SEARCH_LOOKS, []):
            if row["settled"] and row["of"] == plan.trials:
                ended = f"--stop-when settled ended the search after {n_finished} of {plan.trials} trials"
                cautions.append({"reason": CautionReason.SETTLED, "text": f"{ended}: {row['text']}"})
    last = {"status": status, "phase": None, "ended": now(), "counts": study.ledger.counts()}
    study.store.update_manifest(**last, **{CAUTIONS: cautions})
