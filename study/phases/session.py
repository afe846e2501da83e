"""From a checked study to an exit code: the lock, the log, the walk through the phases, and the last words."""

import logging
import shlex
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from study.execution.cluster import ClusterError
from study.phases.drive import drive, finish
from study.phases.phase import Study, StudyFailed, StudyInterrupted
from study.planning.checked import Checked
from study.planning.manifest import checked_again, first_manifest, now
from study.planning.plan import AUTO, LOCAL
from study.planning.spaces import check_baselines
from study.planning.tail_subsets import with_cuts
from study.planning.warm_start import read_warm_start
from study.records.connection import disk_fault
from study.records.ledger import Ledger
from study.records.store import StudyStore
from study.signals import undisturbed
from study.terminal.command_line import resume_command
from study.terminal.faults import Faults, complain
from study.terminal.progress import Progress
from trainables.cckd.errors import UsageError

log = logging.getLogger("study")

#: Failed runs that are named on the terminal; the report names them all.
_MOST_FAILURES = 3


def begin(checked: Checked, command: str) -> int:
    """Make the study's folder and run it; return the exit code.

    Raises:
        UsageError: the folder can not be made.
    """
    manifest = first_manifest(checked, command)
    try:
        store = StudyStore.create(checked.folder.parent, checked.folder.name)
    except OSError as error:
        raise UsageError(f"--out must be a folder that can be written; {error}") from error
    with store.lock(), _logging_to(store.log):
        with _writing(store):
            store.write_manifest(manifest)
            ledger = _create_ledger(checked, store)
        return _see_through(checked, store, ledger)


def resume(folder: Path, command: str, **changes: Any) -> int:
    """Continue the study in `folder`; `changes` replace fields of its plan (trials, address, device, ...).

    Raises:
        UsageError: no study folder, another driver at work, or data or teacher that are not the same any more.
    """
    store = StudyStore.open(folder)
    with store.lock(), _logging_to(store.log):
        manifest = store.manifest()
        checked = checked_again(store.path, manifest)
        _check_address(checked.plan.address, changes)
        # Baselines that were tuned stay so: nothing is lost.
        named = (*checked.plan.tuned_baselines, *changes.pop("tuned_baselines", ()))
        checked = replace(checked, plan=replace(checked.plan, **changes, tuned_baselines=tuple(dict.fromkeys(named))))
        _check_baselines(checked)
        known = manifest["data"].get("cuts", [])
        checked = with_cuts(checked, known)
        starts = [*manifest["starts"], {"started": now(), "command": command}]
        data = manifest["data"] | {"cuts": [*checked.cuts, *known[len(checked.cuts) :]]}
        with _writing(store):
            ledger = _open_ledger(checked, store)
            _say_lost(manifest["counts"], ledger.counts())
            try:
                store.update_manifest(starts=starts, plan=checked.plan.to_json(), data=data)
            except BaseException:
                ledger.close()
                raise
        return _see_through(checked, store, ledger)


def _check_baselines(checked: Checked) -> None:
    faults = Faults()
    check_baselines(checked.plan, checked.space, faults)
    faults.raise_any()


@contextmanager
def _writing(store: StudyStore) -> Iterator[None]:
    """Turn what a full or read-only disk raises before the first phase into one error that names the folder.

    Raises:
        UsageError: the disk is at fault; a folder without a manifest, which nothing could continue, is gone again.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        fault = disk_fault(error)
        if fault is None:
            raise
        if not store.manifest_path.exists():
            shutil.rmtree(store.path, ignore_errors=True)
        raise UsageError(
            f"{store.path} must be a folder that can be written; {fault}; make room, then go on"
        ) from error


def _check_address(planned: str, changes: dict[str, Any]) -> None:
    """A folder may come from a stranger, and to join a Ray cluster is to trust it with this machine."""
    if "address" not in changes and planned not in (LOCAL, AUTO):
        raise UsageError(f"a cluster is not joined on a folder's word; to go on where it ran, give --address {planned}")


def _resume_command(study: Study) -> str:
    address = study.checked.plan.address
    given = "" if address in (LOCAL, AUTO) else f" --address {shlex.quote(address)}"
    return resume_command(study.store.path) + given


def _create_ledger(checked: Checked, store: StudyStore) -> Ledger:
    # A driver that died before it could make study.db leaves this to the one that resumes.
    warm = checked.warm or read_warm_start(checked.plan, checked.space, checked.data)
    return Ledger.create(store.database, checked.space, checked.settings, warm.evidence if warm else ())


def _open_ledger(checked: Checked, store: StudyStore) -> Ledger:
    """Open the search with the plan's total; make it where the first driver died before it could."""
    if not store.database.exists():
        return _create_ledger(checked, store)
    before = Ledger.open(store.database)
    asked, trials = before.n_asked, checked.plan.trials
    before.close()
    if asked > trials:
        raise UsageError(f"--trials is a total and must not be below the {asked} trials already run; got {trials}")
    return Ledger.open(store.database, trials=trials)


def _say_lost(known: dict[str, int], found: dict[str, int]) -> None:
    """Say so where study.db has gone back to what it held earlier, which a damaged study.db-wal makes it do."""
    before, now_there = (sum(n for state, n in counts.items() if state != "running") for counts in (known, found))
    if now_there < before:
        told = f"study.db holds {now_there} finished trials, and study.json knew {before}: the others are run again"
        log.warning("%s", told)
        print(f"NOTE     {told}")


def _see_through(checked: Checked, store: StudyStore, ledger: Ledger) -> int:
    progress = Progress()
    _say_what(progress, checked, store)
    study = Study(checked, store, ledger, progress)
    try:
        drive(study)
        from analysis.report import build_report

        store.update_manifest(status="done", phase=None, ended=now(), counts=ledger.counts())
        report = build_report(store.path)
    except (StudyInterrupted, KeyboardInterrupt):
        _file_end(study, "interrupted")
        progress.say("interrupted; nothing is lost. Continue with:")
        progress.show_command(_resume_command(study))
        return _last_line(store, 130)
    except (StudyFailed, ClusterError) as error:
        _file_end(study, "failed")
        complain(str(error).splitlines())
        if isinstance(error, StudyFailed):
            print(f"continue with: {_resume_command(study)}", file=sys.stderr)
        return _last_line(store, 1)
    except Exception as error:
        log.error("%s", traceback.format_exc())
        _file_end(study, "failed")
        complain([f"{type(error).__name__}: {disk_fault(error) or error}"])
        print(f"details: {store.log}; continue with: {_resume_command(study)}", file=sys.stderr)
        return _last_line(store, 1)
    finally:
        ledger.close()
    _say_failures(study)
    progress.say(f"report   {report}")
    progress.say("browse   its trials with:")
    progress.show_command(f"optuna-dashboard {shlex.quote(f'sqlite:///{store.database}')}")
    return _last_line(store, 0)


def _say_failures(study: Study) -> None:
    """Say which runs of the later phases failed for good; the search has said how many trials did."""
    failed = study.store.manifest()["failures"]
    if failed:
        more = f"; and {len(failed) - _MOST_FAILURES} more" if len(failed) > _MOST_FAILURES else ""
        study.progress.say(
            f"NOTE     {len(failed)} of the later runs failed, listed under Study health in the report: "
            f"{'; '.join(failed[:_MOST_FAILURES])}{more}"
        )


def _file_end(study: Study, status: str) -> None:
    """Write how the study ended, where the folder can still be written; a full disk may be what ended it."""
    try:
        with undisturbed():
            finish(study, status)
    except OSError as error:
        print(f"error: {study.store.path} cannot be written: {error}; make room, then continue it", file=sys.stderr)


def _say_what(progress: Progress, checked: Checked, store: StudyStore) -> None:
    plan, data = checked.plan, checked.data
    if plan.fallback_from:
        progress.say(f"NOTE     {plan.fallback_from} cannot be had here: {plan.fallback_reason}")
        progress.say(f"NOTE     using {plan.data} instead; its images are 8x8 digits and its teacher is weak")
    progress.say(f"study    {store.path}")
    progress.say(
        f"data     {plan.data}: {sum(data.counts)} training, {len(data.val)} val, {len(data.test)} test images"
    )
    progress.say(f"         images {checked.data_path}")
    if data.selected_on == "test":
        progress.say("NOTE     D_val is the test set itself: every number is selected on test")
    if data.skipped:
        progress.say(
            f"NOTE     {len(data.skipped)} image files that can not be used are left out; {store.log} names them"
        )
        log.warning("image files left out:\n%s", "\n".join(data.skipped))
    if checked.warm:
        progress.say(f"warm     {checked.warm}")
    progress.say(
        f"plan     {plan.trials} trials of {plan.epochs} epochs ({plan.sampler}, pruner {plan.pruner}), "
        + (f"{plan.n_selection_runs} runs to choose among the best {plan.finalists}, " if plan.n_selection_runs else "")
        + (f"as many for each of {', '.join(plan.tuned_baselines)}, " if plan.tuned_baselines else "")
        + f"{plan.n_confirm_runs} on test"
        + (f", on {plan.data_seeds} cuts of the long tail" if plan.data_seeds > 1 else "")
    )


def _last_line(store: StudyStore, code: int) -> int:
    print(f"study: {store.path}", flush=True)
    return code


class _LogFile(logging.FileHandler):
    """A log that a full disk leaves incomplete, instead of a traceback a line on the terminal."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the line."""


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Send our log and all warnings to run.log; the terminal is for the user."""
    handler = _LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    loggers = [logging.getLogger(name) for name in ("study", "py.warnings", "optuna")]
    log.setLevel(logging.INFO)
    logging.captureWarnings(True)
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for logger in loggers:
            logger.removeHandler(handler)
        with suppress(OSError):  # what is left of the log may not fit either
            handler.close()
