"""Our own two tables in study.db, beside Optuna's: every epoch of every trial, every confirmation run."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainables.cckd.records import ClassCounts, EpochRecord

_LAYOUT = """
CREATE TABLE IF NOT EXISTS epoch_records (
    number INTEGER NOT NULL, epoch INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (number, epoch));
CREATE TABLE IF NOT EXISTS confirm_runs (
    entry TEXT NOT NULL, seed INTEGER, trial INTEGER, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS selection_runs (
    trial INTEGER NOT NULL, seed INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (trial, seed));
CREATE UNIQUE INDEX IF NOT EXISTS one_confirm_run ON confirm_runs (entry, ifnull(seed, -1));
"""


@dataclass(frozen=True)
class ConfirmRun:
    """One run of the confirmation; `record` is what its caller filed, plain types."""

    entry: str
    seed: int | None
    trial: int | None
    record: dict[str, Any]


@dataclass(frozen=True)
class SelectionRun:
    """One run of the selection: a trial's configuration, trained again with `seed`, and its counts on D_val."""

    trial: int
    seed: int
    val: ClassCounts


class RecordTables:
    """The tables, through one connection of the one driver; every write is a transaction of its own.

    What was filed first stays: an epoch or a run that is filed again is ignored, so a trial that repeats
    epochs after a crash changes nothing.
    """

    def __init__(self, database: Path) -> None:
        self._connection = sqlite3.connect(database, timeout=30.0)
        # SQLite meets a missing page only when it reads it, which may be after hours.
        (verdict,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        self._connection.executescript(_LAYOUT)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def add_epochs(self, number: int, records: Iterable[EpochRecord]) -> None:
        """File the epochs of trial `number`."""
        rows = [(number, record.epoch, json.dumps(record.to_dict())) for record in records]
        with self._connection:
            self._connection.executemany("INSERT OR IGNORE INTO epoch_records VALUES (?, ?, ?)", rows)

    def epochs(self, number: int) -> list[EpochRecord]:
        """Return trial `number`'s epochs, ascending."""
        rows = self._connection.execute("SELECT record FROM epoch_records WHERE number = ? ORDER BY epoch", (number,))
        return [EpochRecord.from_dict(json.loads(record)) for (record,) in rows]

    def all_epochs(self) -> dict[int, list[EpochRecord]]:
        """Return every trial's epochs, ascending, by trial number; a trial without any is absent."""
        found: dict[int, list[EpochRecord]] = {}
        for number, record in self._connection.execute(
            "SELECT number, record FROM epoch_records ORDER BY number, epoch"
        ):
            found.setdefault(number, []).append(EpochRecord.from_dict(json.loads(record)))
        return found

    def add_selection_run(self, trial: int, seed: int, val: ClassCounts) -> None:
        """File one run of the selection, its counts on D_val; at most one is kept per (trial, seed)."""
        with self._connection:
            self._connection.execute(
                "INSERT OR IGNORE INTO selection_runs VALUES (?, ?, ?)", (trial, seed, json.dumps(asdict(val)))
            )

    def selection_runs(self) -> list[SelectionRun]:
        """Return every run of the selection, in the order they were filed."""
        rows = self._connection.execute("SELECT trial, seed, record FROM selection_runs ORDER BY rowid")
        return [
            SelectionRun(trial, seed, ClassCounts(tuple(plain["correct"]), tuple(plain["seen"])))
            for trial, seed, record in rows
            for plain in [json.loads(record)]
        ]

    def add_confirm_run(self, entry: str, seed: int | None, trial: int | None, record: Mapping[str, Any]) -> None:
        """File one run; at most one is kept per (entry, seed)."""
        with self._connection:
            self._connection.execute(
                "INSERT OR IGNORE INTO confirm_runs VALUES (?, ?, ?, ?)",
                (entry, seed, trial, json.dumps(dict(record))),
            )

    def drop_confirm_runs(self, entry: str, *, but_of: int) -> None:
        """Forget an entry's runs of any other trial than `but_of`."""
        with self._connection:
            self._connection.execute("DELETE FROM confirm_runs WHERE entry = ? AND trial IS NOT ?", (entry, but_of))

    def confirm_runs(self) -> list[ConfirmRun]:
        """Return every run, in the order they were filed."""
        rows = self._connection.execute("SELECT entry, seed, trial, record FROM confirm_runs ORDER BY rowid")
        return [ConfirmRun(entry, seed, trial, json.loads(record)) for entry, seed, trial, record in rows]
