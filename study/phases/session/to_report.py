"""From an open study to an exit code: its phases, its report, its last messages, and the record of its end."""

import logging
import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from study.execution.cluster import ClusterError
from study.phases.drive import drive, finish
from study.phases.session.messages import say_failures, say_plan
from study.phases.state.study_in_progress import Analyses, Study, StudyFailed
from study.planning.checked import Checked
from study.planning.manifest import now
from study.records.connection import disk_fault
from study.records.ledger import Ledger
from study.records.store import StudyStore
from study.schema import (
    sqlite_url,
)
from study.terminal.command_line import resume_command
from study.terminal.faults import complain
from study.terminal.progress import Progress
from study.terminal.signals import undisturbed
from trainables.cckd.errors import UsageError
from trainables.object_store import StorageError

log = logging.getLogger("study")


def run_to_report(checked: Checked, store: StudyStore, ledger: Ledger, analyses: Analyses) -> int:
    """Run what is left of a study and build its report; close the ledger and return the exit code."""
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


@contextmanager
def end_recorded(store: StudyStore, *, is_new: bool = False) -> Iterator[None]:
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
def writing(store: StudyStore) -> Iterator[None]:
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
