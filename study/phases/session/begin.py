"""A new study: its folder, its first files and its database are made, then it is run to its report."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from study.execution.cluster import check_process, try_to_join
from study.phases.session.to_report import end_recorded, run_to_report, writing
from study.phases.state.study_in_progress import Analyses
from study.planning.checked import Checked
from study.planning.config_file import config_text
from study.planning.manifest import first_manifest
from study.planning.plan import LOCAL
from study.planning.warm_start import read_warm_start
from study.records.ledger import Ledger
from study.records.run_log import logging_to
from study.records.store import StudyStore
from study.schema import (
    CHECKPOINTS,
    EVIDENCE,
    IMAGE_FILES,
)
from study.terminal.signals import undisturbed
from trainables.cckd.data.file_record import write_record
from trainables.cckd.errors import UsageError
from trainables.cckd.files.atomic import write_bytes
from trainables.checkpoint_store import CheckpointStore, is_uri
from trainables.object_store import probe


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
    check_elsewhere(checked, is_new=True)
    with _new_folder(checked.folder) as store, store.lock(), end_recorded(store, is_new=True), logging_to(store.log):
        with writing(store):
            store.write_manifest(manifest)
            store.write_config(config_text(checked.plan, checked.space))
            write_record(store.path / IMAGE_FILES, checked.data)
            if checked.warm and checked.warm.file:
                write_bytes(store.path / EVIDENCE, checked.warm.file.content)
            ledger = create_ledger(checked, store)
        return run_to_report(checked, store, ledger, analyses)


def create_ledger(checked: Checked, store: StudyStore) -> Ledger:
    """Make study.db with the search of a study and the evidence that it begins with."""
    # A driver may have died before it made study.db; the evidence of another tool then lies in the folder.
    kept = store.path / EVIDENCE
    plan = replace(checked.plan, warm_start=str(kept)) if kept.exists() else checked.plan
    warm = checked.warm or read_warm_start(plan, checked.space, checked.data, checked.image_store)
    return Ledger.create(store.database, checked.space, checked.settings, warm.evidence if warm else ())


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


def check_elsewhere(checked: Checked, *, is_new: bool = False) -> None:
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
