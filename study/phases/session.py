"""A session: from a checked study to an exit code, with the lock, the log, the phases, and the last messages."""

import logging
import shlex
import shutil
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from study.execution.cluster import ClusterError, check_process, try_to_join
from study.phases.ablation import check_knobs
from study.phases.drive import drive, finish
from study.phases.messages import say_failures, say_lost, say_plan, say_retried
from study.phases.state.study_in_progress import Analyses, Study, StudyFailed
from study.planning.checked import Checked, check_plan
from study.planning.config_file import config_text
from study.planning.manifest import checked_again, first_manifest, now
from study.planning.plan import AUTO, LOCAL, StudyPlan, top_fault
from study.planning.preview.estimate import refuse_long, refuse_short_limit
from study.planning.preview.missing import missing_work
from study.planning.readers import check_device
from study.planning.tail_subsets import with_cuts
from study.planning.warm_start import read_warm_start
from study.records.connection import disk_fault
from study.records.ledger import Ledger
from study.records.run_log import logging_to
from study.records.search_reader import SearchReader
from study.records.store import StudyStore
from study.schema import (
    CAUTIONS,
    CHECKPOINTS,
    EVIDENCE,
    IMAGE_FILES,
    LEFT_OUT,
    PLANNED,
    CautionReason,
    lost_database,
    sqlite_url,
)
from study.terminal.command_line import resume_command
from study.terminal.faults import Faults, complain
from study.terminal.progress import Progress
from study.terminal.signals import undisturbed
from trainables.cckd.data.file_record import write_record
from trainables.cckd.errors import UsageError
from trainables.cckd.files.atomic import write_bytes
from trainables.checkpoint_store import CheckpointStore, is_uri
from trainables.object_store import StorageError, probe

log = logging.getLogger("study")


def begin(checked: Checked, command: str, analyses: Analyses) -> int:
    """Make the folder of a study and run it to its report; return the exit code.

    Args:
        checked: the study.
        command: the command line, for the manifest.
        analyses: builds the report, and screens the knobs.

    Raises:
        UsageError: the folder cannot be made, the object store cannot be used, the cluster cannot be joined, or no
            study can run in this process.
    """
    check_process(checked.plan.address)
    manifest = first_manifest(checked, command)
    _check_elsewhere(checked, is_new=True)
    with _new_folder(checked.folder) as store, store.lock(), _end_recorded(store, is_new=True), logging_to(store.log):
        with _writing(store):
            store.write_manifest(manifest)
            store.write_config(config_text(checked.plan, checked.space))
            write_record(store.path / IMAGE_FILES, checked.data)
            if checked.warm and checked.warm.file:
                write_bytes(store.path / EVIDENCE, checked.warm.file.content)
            ledger = _create_ledger(checked, store)
        return _run_to_report(checked, store, ledger, analyses)


def resume(folder: Path, command: str, analyses: Analyses, unplanned: Mapping[str, Any], **changes: Any) -> int:
    """Continue the study in `folder`; return the exit code.

    Args:
        folder: of the study.
        command: the command line, for the manifest.
        analyses: builds the report, and screens the knobs.
        unplanned: values of fields of its plan that have none there: 0, or nothing.
        changes: new values of fields of its plan (trials, address, device, ...), `retry_failed`, and `yes_long`:
            whether what is missing may take more than a day. Without `yes_long`, only a larger plan is asked about.

    Raises:
        UsageError: this is no study folder, another driver holds its lock, its study.db is lost, its data or teacher
            have changed, its plan and the changes do not go together, it takes long and nobody said that it may, its
            object store cannot be used, or its cluster cannot be joined.
    """
    check_process(changes.get("address", LOCAL))
    store = StudyStore.open(folder)
    with store.lock(), _end_recorded(store), logging_to(store.log):
        manifest = store.manifest()
        if wrong := lost_database(store.path, manifest):
            raise UsageError(wrong)
        checked = checked_again(store.path, manifest, skip_corrupt=changes.get("skip_corrupt", False))
        _check_address(checked.plan.address, changes)
        asked_knobs, retries = changes.get("ablation_knobs", ()), changes.pop("retry_failed", False)
        may_be_long = changes.pop("yes_long", None)
        # A baseline that has been tuned, a rung that has been confirmed, and a knob that was put back stay in the plan.
        for field in ("tuned_baselines", "ladder", "ablation_knobs"):
            known = getattr(checked.plan, field)
            changes[field] = (*known, *(name for name in changes.get(field, ()) if name not in known))
        former = checked.plan
        if changes.get("device", former.device) != former.device:
            changes |= {"gpus_per_trial": float(changes["device"] == "cuda"), "trials_per_process": 1}
        needed = {field: value for field, value in unplanned.items() if not getattr(former, field)}
        checked = replace(checked, plan=replace(checked.plan, **needed | changes))
        faults = Faults()
        check_plan(checked.plan, checked.space, faults)
        check_device(vars(checked.plan), faults)
        if "confirm_top" in changes and (wrong := top_fault("--top", changes["confirm_top"], checked.plan.trials)):
            faults.add(wrong)
        faults.raise_any()
        _judge_hours(checked, former, store, manifest, changes, may_be_long=may_be_long)
        _check_elsewhere(checked)
        cuts = manifest["data"].get("cuts", [])
        lost = checked.data.left_out.keys() - manifest["data"].get(LEFT_OUT, {}).keys()
        checked = with_cuts(checked, [] if lost else cuts)  # no cut has all the images that it had
        checked = replace(checked, shared_cuts={k: n for k, n in checked.shared_cuts.items() if k >= len(cuts)})
        new = [one._asdict() for one in checked.cautions if one.reason is CautionReason.SHARED_IMAGES]
        starts = [*manifest["starts"], {"started": now(), "command": command}]
        data = manifest["data"] | {"cuts": [*checked.cuts, *cuts[len(checked.cuts) :]]}
        with _writing(store):
            ledger = _open_ledger(checked, store)
            say_lost(manifest["counts"], ledger.counts())
            try:
                check_knobs(asked_knobs, checked.plan, checked.space, ledger)
                _check_totals(former, checked.plan, ledger)
                planned = {PLANNED: checked.plan.planned_runs(checked.space)}
                cautions = {CAUTIONS: [*manifest.get(CAUTIONS, []), *new]} if new else {}
                store.update_manifest(starts=starts, plan=checked.plan.to_json(), data=data, **planned, **cautions)
                store.write_config(config_text(checked.plan, checked.space))
                if retries:
                    trials = [number for one in (ledger, *ledger.baselines.values()) for number in one.retry_failed()]
                    runs = ledger.runs.retry_failed()
                    say_retried(len(trials), len(runs), len(ledger.causes_of_failure()))
            except BaseException:
                ledger.close()
                raise
        return _run_to_report(checked, store, ledger, analyses)


@contextmanager
def _new_folder(folder: Path) -> Iterator[StudyStore]:
    """Make a study folder. One without a manifest at the end of the block is removed: no study can continue in it."""
    made: StudyStore | None = None
    try:
        try:
            with undisturbed():
                made = StudyStore.create(folder.parent, folder.name)
        except OSError as error:
            raise UsageError(f"--out must be a folder that can be written; {error}") from error
        yield made
    finally:
        with undisturbed():
            if made is not None and not made.manifest_path.exists():
                shutil.rmtree(made.path, ignore_errors=True)


@contextmanager
def _end_recorded(store: StudyStore, *, is_new: bool = False) -> Iterator[None]:
    """Record an end of the block that the study itself has not: before its first phase, or by a second Ctrl-C.

    An error counts for a new study. Where another one is refused, it stays as it was.
    """
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        with undisturbed(), suppress(OSError, UsageError):
            if (interrupted or is_new) and store.manifest_path.exists() and store.manifest()["status"] == "running":
                store.update_manifest(status="interrupted" if interrupted else "failed", phase=None, ended=now())
        raise


@contextmanager
def _writing(store: StudyStore) -> Iterator[None]:
    """Turn the errors of a full or read-only disk before the first phase into one error that names the folder.

    Raises:
        UsageError: the disk is at fault.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        fault = disk_fault(error)
        if fault is None:
            raise
        raise UsageError(
            f"{store.path} must be a folder that can be written; {fault}; make room, then go on"
        ) from error


def _judge_hours(
    checked: Checked,
    former: StudyPlan,
    store: StudyStore,
    manifest: Mapping[str, Any],
    changes: Mapping[str, Any],
    *,
    may_be_long: bool | None,
) -> None:
    """Refuse hours that cannot be kept, and a continuation that the user may not have meant to be so long.

    Nothing is written before. A study that goes on as it was planned is refused for neither.

    Args:
        checked: the study with its new plan.
        former: the plan that the user has accepted.
        store: its folder.
        manifest: its study.json.
        changes: new values of fields of its plan.
        may_be_long: whether the user allows more than a day; None asks only where the former plan asks for less.

    Raises:
        UsageError: what is missing takes more than a day, or selection and confirmation more than the hours asked for.
    """
    asks_long = may_be_long is False or (may_be_long is None and checked.plan != former)
    if not asks_long and "max_hours" not in changes:
        return
    with ExitStack() as at_end:
        search = SearchReader.read(store.database) if store.database.exists() else None
        if search is not None:
            at_end.callback(search.close)
        missing, accepted = (missing_work(plan, checked.space, search, manifest) for plan in (checked.plan, former))
    if "max_hours" in changes:
        refuse_short_limit(checked, missing)
    is_longer = missing.epochs > accepted.epochs or (checked.plan.max_hours or inf) > (former.max_hours or inf)
    if asks_long and (may_be_long is False or is_longer):
        refuse_long(checked, missing)


def _check_elsewhere(checked: Checked, *, is_new: bool = False) -> None:
    """Ask the object store and the cluster of a study, if it has any: last of all checks, because it takes seconds.

    Raises:
        UsageError: one of them cannot be used.
    """
    _check_object_store(checked, is_new=is_new)
    if checked.plan.address != LOCAL:
        try_to_join(checked.plan.address)


def _check_object_store(checked: Checked, *, is_new: bool) -> None:
    """Ask the object store of the checkpoints, if they lie in one; it must hold no study of the name of a new one.

    Raises:
        UsageError: the store cannot be used; says why within half a minute.
    """
    storage = checked.plan.storage
    if storage is None or not is_uri(storage):
        return
    if fault := probe(storage):
        raise UsageError(f"--storage must be a place that can be written; {storage}: {fault}")
    root = f"{storage}/{checked.folder.name}/{CHECKPOINTS}"
    if is_new and CheckpointStore(root).runs():
        raise UsageError(f"--storage must hold no study of this name; one lies in {root}")


def _check_address(planned: str, changes: dict[str, Any]) -> None:
    """Refuse a cluster that only the folder names: it may come from a stranger, and a cluster can run any code here."""
    if "address" not in changes and planned not in (LOCAL, AUTO):
        raise UsageError(f"a cluster is not joined on a folder's word; to go on where it ran, give --address {planned}")


def _check_totals(former: StudyPlan, plan: StudyPlan, ledger: Ledger) -> None:
    """Refuse fewer seeds or cuts than a confirmation was begun with: who may stop at any seed may stop at a lucky one.

    Raises:
        UsageError: names every such total.
    """
    totals = {
        "--seeds": (former.confirm_seeds, plan.confirm_seeds),
        "--data-seeds": (former.data_seeds, plan.data_seeds),
    }
    fewer = [
        f"{flag} is a total and must not be below the {begun} that the confirmation was begun with; got {asked}"
        for flag, (begun, asked) in totals.items()
        if asked < begun
    ]
    if fewer and ledger.runs.confirm_keys():
        raise UsageError(fewer)


def _create_ledger(checked: Checked, store: StudyStore) -> Ledger:
    # A driver may have died before it made study.db; the evidence of another tool then lies in the folder.
    kept = store.path / EVIDENCE
    plan = replace(checked.plan, warm_start=str(kept)) if kept.exists() else checked.plan
    warm = checked.warm or read_warm_start(plan, checked.space, checked.data, checked.image_store)
    return Ledger.create(store.database, checked.space, checked.settings, warm.evidence if warm else ())


def _open_ledger(checked: Checked, store: StudyStore) -> Ledger:
    """Open the search with the plan's total of trials; make it if the first driver died before it made study.db."""
    if not store.database.exists():
        return _create_ledger(checked, store)
    before = Ledger.open(store.database)
    asked, trials = before.n_asked, checked.plan.trials
    before.close()
    if asked > trials:
        raise UsageError(f"--trials is a total and must not be below the {asked} trials already run; got {trials}")
    return Ledger.open(store.database, trials=trials)


def _run_to_report(checked: Checked, store: StudyStore, ledger: Ledger, analyses: Analyses) -> int:
    progress = Progress()
    study = Study(checked, store, ledger, progress, analyses)
    try:
        say_plan(progress, checked, store, ledger)
        drive(study)
        finish(study, "done")
        report = analyses.build_report(store.path)
    except KeyboardInterrupt:
        _record_end(study, "interrupted")
        progress.say("interrupted; nothing is lost. Continue with:")
        progress.show_command(resume_command(store.path))
        return _last_line(store, 130)
    except (StudyFailed, ClusterError, StorageError) as error:
        _record_end(study, "failed")
        complain(str(error).splitlines())
        print(f"continue with: {resume_command(store.path)}", file=sys.stderr)
        return _last_line(store, 1)
    except Exception as error:
        log.error("%s", traceback.format_exc())
        _record_end(study, "failed")
        complain([f"{type(error).__name__}: {disk_fault(error) or error}"])
        print(f"details: {store.log}; continue with: {resume_command(store.path)}", file=sys.stderr)
        return _last_line(store, 1)
    finally:
        ledger.close()
    say_failures(study)
    progress.say(f"report   {report}")
    progress.say("browse   its trials with:")
    progress.show_command(f"optuna-dashboard {shlex.quote(sqlite_url(store.database))}")
    return _last_line(store, 0)


def _record_end(study: Study, status: str) -> None:
    """Write to the manifest how the study ended, if the folder can be written; a full disk may have ended it."""
    try:
        with undisturbed():
            finish(study, status)
    except OSError as error:
        print(f"error: {study.store.path} cannot be written: {error}; make room, then continue it", file=sys.stderr)


def _last_line(store: StudyStore, code: int) -> int:
    print(f"study: {store.path}", flush=True)
    return code
