"""The study folder: its paths, its manifest, and the tables that other programs read."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

from search_spaces.space import SearchSpace
from study import schema
from study.lock import LOCK, study_lock
from study.records import csv_tables
from study.records.ledger import Ledger
from study.terminal.command_line import resume_command
from trainables.cckd.errors import UsageError
from trainables.cckd.files.atomic import write_bytes, write_json
from trainables.cckd.files.sealed import read_sealed, sealed

log = logging.getLogger("study")


class StoreError(UsageError):
    """A study folder cannot be made, or a folder is not a study folder."""


class StudyStore:
    """One study folder. `create` makes it; `open` checks an existing one.

    Args:
        path: the folder. It is kept absolute, because Ray's workers have other working directories.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.manifest_path = self.path / schema.MANIFEST
        self._manifest_before = self.path / schema.MANIFEST_BEFORE
        self.database = self.path / schema.DATABASE
        self.models = self.path / schema.MODELS
        self.report = self.path / schema.REPORT
        self.log = self.path / schema.LOG

    @classmethod
    def create(cls, out: Path, name: str) -> Self:
        """Make the folder `out/name`.

        Raises:
            StoreError: the name is not allowed, or the folder exists.
        """
        if not schema.FOLDER_NAME.fullmatch(name):
            raise StoreError(f"a study's name is 1 to 64 of A-Z a-z 0-9 . _ -, not only dots; got {name!r}")
        store = cls(out / name)
        try:
            store.path.mkdir(parents=True)
        except FileExistsError:
            raise StoreError(
                f"a study is never overwritten; {store.path} exists. To continue it: {resume_command(store.path)}"
            ) from None
        return store

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the study in the folder `path`.

        Raises:
            StoreError: the folder has no manifest, or a manifest of another layout, whose training cannot go on.
        """
        store = cls(path)
        if not store.manifest_path.is_file():
            raise StoreError(f"a study folder has a {schema.MANIFEST}; {store.path} has none")
        if strays := schema.links_out(store.path):
            raise StoreError(f"a study folder has no links that lead out of it; {store.path}: {', '.join(strays[:5])}")
        if fault := schema.training_fault(store.manifest().get("schema")):
            raise StoreError(f"{store.manifest_path} {fault}")
        return store

    def lock(self) -> AbstractContextManager[None]:
        """Return the lock that every driver of this study takes."""
        return study_lock(self.path / LOCK)

    def manifest(self) -> dict[str, Any]:
        """Read study.json, or the copy from before its last change if study.json is damaged.

        Raises:
            StoreError: both are damaged.
        """
        try:
            content, damage = read_sealed(self.manifest_path, self._manifest_before)
        except ValueError as error:
            raise StoreError(f"{self.manifest_path} must be as the study wrote it; {error}") from error
        if damage:
            log.warning(
                "%s is damaged (%s); going on with the copy from before its last change", self.manifest_path, damage
            )
        return content

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Replace study.json."""
        write_json(self.manifest_path, sealed(content))

    def write_config(self, text: str) -> None:
        """Replace study.yaml, which starts the same study again."""
        write_bytes(self.path / schema.CONFIG, text.encode())

    def update_manifest(self, **changes: Any) -> dict[str, Any]:
        """Replace top-level entries of study.json and return all of it; keep the former file beside it."""
        before = self.manifest()
        write_json(self._manifest_before, sealed(before))
        content = before | changes
        self.write_manifest(content)
        return content

    def export_tables(self, ledger: Ledger, space: SearchSpace, groups: Mapping[str, Iterable[int]]) -> None:
        """Write trials.csv and epochs.parquet, and each other table as soon as it has a row.

        Args:
            ledger: the open search.
            space: its space, which names the `config/<knob>` columns.
            groups: class ids of 'many', 'medium', and 'few'; other groups are ignored.
        """
        ids: dict[str, Sequence[int]] = {name: tuple(groups[name]) for name in schema.GROUPS}
        rows, runs, attempts = ledger.rows(), ledger.runs.confirm_runs(), ledger.runs.rerun_attempts()
        csv_tables.write_parquet(self.path / schema.EPOCHS, csv_tables.epochs_table(rows, runs, ids))
        tables = {
            schema.TRIALS: csv_tables.trials_table(rows, space, ids),
            schema.FINALISTS_CSV: csv_tables.finalists_table(ledger.runs.selection_runs(), rows),
            schema.BASELINES_CSV: csv_tables.baselines_table(ledger.baselines, ids),
        }
        if attempts and (ablated := self.manifest().get(schema.ABLATED)):
            ablation = csv_tables.ablation_table(ledger.runs.ablation_runs(), attempts, ablated, ids)
            tables[schema.ABLATION_CSV] = ablation
        if runs:
            data = self.manifest()["data"]
            tables |= {
                schema.CONFIRM_CSV: csv_tables.confirm_table(runs, ids),
                schema.CLASSES_CSV: csv_tables.classes_table(runs, data["classes"], data["n_train"]),
                schema.CONFUSION_CSV: csv_tables.confusion_table(runs),
                schema.SEPARABILITY_CSV: csv_tables.separability_table(runs),
            }
        for name, table in tables.items():
            if table.rows or name == schema.TRIALS:
                csv_tables.write_csv(self.path / name, table)
