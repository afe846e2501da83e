"""Our own tables in study.db beside Optuna's: every epoch of every trial, and every run of the later phases."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from study.records.connection import Database
from study.records.rerun_names import ablation_name, candidate_entry, rerun_name
from study.schema import STUDY_NAME, search_table
from study.terminal.faults import one_line
from trainables.cckd.errors import fails_again, is_divergence
from trainables.cckd.records import ClassCounts, EpochRecord

#: The tables that each search has for itself.
_OF_A_SEARCH = (
    """CREATE TABLE IF NOT EXISTS {epoch_records} (
        number INTEGER NOT NULL, epoch INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (number, epoch))""",
    """CREATE TABLE IF NOT EXISTS {selection_runs} (
        trial INTEGER NOT NULL, seed INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (trial, seed))""",
)
_LAYOUT = (
    """CREATE TABLE IF NOT EXISTS confirm_runs (
        entry TEXT NOT NULL, seed INTEGER, trial INTEGER, record TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS rerun_attempts (
        name TEXT PRIMARY KEY, attempts INTEGER NOT NULL, failures INTEGER NOT NULL, cause TEXT,
        failed INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS ablation_runs (
        trial INTEGER NOT NULL, kind TEXT NOT NULL, change TEXT NOT NULL, seed INTEGER NOT NULL,
        judged_on TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (trial, kind, change, seed, judged_on))""",
)

#: Columns that tables of an earlier version lack: it confirmed on one tail subset only, or at one length only.
#: Its index allows no other, so it goes.
_ADDED_COLUMNS = {
    "data_seed": (
        "ALTER TABLE confirm_runs ADD COLUMN data_seed INTEGER NOT NULL DEFAULT 0",
        "DROP INDEX IF EXISTS one_confirm_run",
    ),
    "epochs_factor": (
        "ALTER TABLE confirm_runs ADD COLUMN epochs_factor INTEGER NOT NULL DEFAULT 1",
        "DROP INDEX IF EXISTS one_confirm_run_a_cut",
    ),
}
_CONFIRM_INDEX = (
    "CREATE UNIQUE INDEX IF NOT EXISTS one_confirm_run_a_length "
    "ON confirm_runs (entry, ifnull(seed, -1), data_seed, epochs_factor)"
)
#: What names a confirmation run.
_CONFIRM_KEY = "entry, seed, trial, data_seed, epochs_factor"


@dataclass(frozen=True)
class ConfirmRun:
    """One run of the confirmation on one cut of the long tail (`data_seed`); `record` holds plain types.

    Attributes:
        epochs_factor: epochs of the run over epochs of a trial: 1, or more for a run at a longer training.
    """

    entry: str
    seed: int | None
    trial: int | None
    record: dict[str, Any]
    data_seed: int = 0
    epochs_factor: int = 1

    @property
    def epochs(self) -> tuple[EpochRecord, ...]:
        """Its epochs, ascending; none for the teacher and for a run of an earlier version."""
        return tuple(EpochRecord.from_dict(plain) for plain in self.record.get("epochs", ()))

    @property
    def val(self) -> ClassCounts | None:
        """The counts on D_val after its last epoch; None for the teacher. An earlier version kept only these."""
        plain = self.record["epochs"][-1]["val"] if self.record.get("epochs") else self.record.get("val")
        return None if plain is None else counts_of(plain)


@dataclass(frozen=True)
class SelectionRun:
    """One run of the selection: the configuration of `trial`, trained again with `seed`, and its counts on D_val."""

    trial: int
    seed: int
    val: ClassCounts


@dataclass(frozen=True)
class AblationRun:
    """One run of the ablation: best1, or best1 with one change, and its counts after the last epoch.

    Attributes:
        trial: number of best1's trial.
        kind, change: what is changed, as in ablation.csv.
        seed: the training seed.
        judged_on: the set of the counts, val or test.
        counts: of that set.
    """

    trial: int
    kind: str
    change: str
    seed: int
    judged_on: str
    counts: ClassCounts

    @property
    def name(self) -> str:
        """The name of the run among the attempts."""
        return ablation_name(self.trial, self.kind, self.change, self.seed, self.judged_on)


@dataclass(frozen=True)
class RerunAttempts:
    """The attempts at one run of the later phases, over all drivers.

    Attributes:
        attempts: number of starts.
        failures: number of crashes. The death of the driver is not a crash of its runs.
        cause: of the last failure.
        failed: whether the run is given up.
    """

    attempts: int = 0
    failures: int = 0
    cause: str | None = None
    failed: bool = False

    @property
    def diverged(self) -> bool:
        """Whether the run is given up because its loss became NaN or infinite: the configuration is at fault."""
        return self.failed and is_divergence(self.cause)


class RunTables:
    """The tables of one open study.db. Epochs are also kept in memory, because they are read again and again.

    The first record stays: an epoch or a run that is recorded again is ignored. So a trial that repeats epochs after a
    crash changes nothing. Epochs and selection runs belong to one `search`. Confirmation runs and attempts belong to
    the whole study.
    """

    def __init__(self, database: Database, search: str = STUDY_NAME) -> None:
        self._database, self._search = database, search
        self._connection = database.connection
        tables = {kind: search_table(kind, search) for kind in ("epoch_records", "selection_runs")}
        self._epoch_records, self._selection_runs = tables.values()
        with database.together():
            for statement in (*(text.format(**tables) for text in _OF_A_SEARCH), *_LAYOUT):
                self._connection.execute(statement)
            columns = {row[1] for row in self._connection.execute("PRAGMA table_info(confirm_runs)")}
            for column, statements in _ADDED_COLUMNS.items():
                for statement in () if column in columns else statements:
                    self._connection.execute(statement)
            self._connection.execute(_CONFIRM_INDEX)
        self.reload()

    def reload(self) -> None:
        """Drop the copy in memory and read it again."""
        self._epochs: dict[int, dict[int, EpochRecord]] = {}
        rows = self._connection.execute(
            f"SELECT number, epoch, record FROM {self._epoch_records} ORDER BY number, epoch"
        )
        for number, epoch, record in rows:
            self._epochs.setdefault(number, {})[epoch] = EpochRecord.from_dict(json.loads(record))

    def add_epochs(self, number: int, records: Iterable[EpochRecord]) -> None:
        """Record epochs of trial `number`."""
        known = self._epochs.setdefault(number, {})
        fresh = {record.epoch: record for record in records if record.epoch not in known}
        rows = [(number, epoch, json.dumps(record.to_dict())) for epoch, record in fresh.items()]
        with self._database.together():
            self._connection.executemany(f"INSERT INTO {self._epoch_records} VALUES (?, ?, ?)", rows)
        known.update(fresh)

    def epochs(self, number: int) -> list[EpochRecord]:
        """Return trial `number`'s epochs, ascending."""
        return [record for _, record in sorted(self._epochs.get(number, {}).items())]

    def add_selection_run(self, trial: int, seed: int, val: ClassCounts) -> None:
        """Record the counts on D_val of one selection run; at most one is kept per (trial, seed)."""
        with self._database.together():
            self._connection.execute(
                f"INSERT OR IGNORE INTO {self._selection_runs} VALUES (?, ?, ?)", (trial, seed, json.dumps(asdict(val)))
            )

    def selection_runs(self) -> list[SelectionRun]:
        """Return every selection run in the order of recording."""
        rows = self._connection.execute(f"SELECT trial, seed, record FROM {self._selection_runs} ORDER BY rowid")
        return [SelectionRun(trial, seed, counts_of(json.loads(record))) for trial, seed, record in rows]

    def add_confirm_run(
        self,
        entry: str,
        seed: int | None,
        trial: int | None,
        record: Mapping[str, Any],
        *,
        data_seed: int = 0,
        epochs_factor: int = 1,
    ) -> None:
        """Record one confirmation run; at most one is kept per (entry, seed, cut, length)."""
        with self._database.together():
            self._connection.execute(
                "INSERT OR IGNORE INTO confirm_runs (entry, seed, trial, record, data_seed, epochs_factor) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (entry, seed, trial, json.dumps(dict(record)), data_seed, epochs_factor),
            )

    def add_ablation_run(self, run: AblationRun) -> None:
        """Record a run of the ablation; at most one is kept per (trial, change, seed, set)."""
        with self._database.together():
            self._connection.execute(
                "INSERT OR IGNORE INTO ablation_runs VALUES (?, ?, ?, ?, ?, ?)",
                (run.trial, run.kind, run.change, run.seed, run.judged_on, json.dumps(asdict(run.counts))),
            )

    def ablation_runs(self) -> list[AblationRun]:
        """Return every run of the ablation, those of a former best1 included, in the order of recording."""
        rows = self._connection.execute(
            "SELECT trial, kind, change, seed, judged_on, record FROM ablation_runs ORDER BY rowid"
        )
        return [
            AblationRun(trial, kind, change, seed, judged_on, counts_of(json.loads(record)))
            for trial, kind, change, seed, judged_on, record in rows
        ]

    @property
    def candidate(self) -> str:
        """The entry of this search's selection runs."""
        return candidate_entry(self._search)

    def recorded_reruns(self) -> set[str]:
        """Return the names of all recorded runs of this search's selection, the confirmation, and the ablation."""
        read = self._connection.execute
        selected = read(f"SELECT seed, trial FROM {self._selection_runs}")
        ablated = read("SELECT trial, kind, change, seed, judged_on FROM ablation_runs")
        return {
            *(rerun_name(self.candidate, *key) for key in selected),
            *(rerun_name(*key) for key in self.confirm_keys()),
            *(ablation_name(*key) for key in ablated),
        }

    def rerun_attempts(self) -> dict[str, RerunAttempts]:
        """Return the attempts at every run that was started, by name."""
        rows = self._connection.execute("SELECT name, attempts, failures, cause, failed FROM rerun_attempts")
        return {
            name: RerunAttempts(attempts, failures, cause, bool(failed))
            for name, attempts, failures, cause, failed in rows
        }

    def start_rerun(self, name: str) -> int:
        """Count one more start of the run `name` and return its number of starts."""
        return self._count_rerun(name, attempts=1).attempts

    def count_rerun_failure(self, name: str, cause: str) -> int:
        """Count a crash of run `name`, which may be tried again; return its number of crashes over all drivers."""
        return self._count_rerun(name, failures=1, cause=one_line(cause)).failures

    def fail_rerun(self, name: str, cause: str) -> None:
        """Record that run `name` is given up because of `cause`."""
        self._count_rerun(name, cause=one_line(cause), failed=True)

    def retry_failed(self) -> list[str]:
        """Make runs that were given up ones that are tried again, and return their names.

        A run whose configuration is at fault would fail again, and stays given up.
        """
        known = self.rerun_attempts().items()
        failed = [name for name, run in known if run.failed and not fails_again(run.cause)]
        with self._database.together():
            self._connection.executemany(
                "UPDATE rerun_attempts SET failed = 0, failures = 0 WHERE name = ?", [(name,) for name in failed]
            )
        return failed

    def _count_rerun(
        self, name: str, *, attempts: int = 0, failures: int = 0, cause: str | None = None, failed: bool = False
    ) -> RerunAttempts:
        """Add to the counts of run `name` and return them; any new start makes a failed run one that is tried again."""
        known = self.rerun_attempts().get(name, RerunAttempts())
        now = RerunAttempts(known.attempts + attempts, known.failures + failures, cause or known.cause, failed)
        with self._database.together():
            self._connection.execute(
                "INSERT OR REPLACE INTO rerun_attempts VALUES (?, ?, ?, ?, ?)",
                (name, now.attempts, now.failures, now.cause, int(now.failed)),
            )
        return now

    def drop_confirm_runs(self, entry: str, *, but_of: int) -> None:
        """Delete an entry's runs of every trial except `but_of`."""
        with self._database.together():
            self._connection.execute("DELETE FROM confirm_runs WHERE entry = ? AND trial IS NOT ?", (entry, but_of))

    def confirm_runs(self) -> list[ConfirmRun]:
        """Return every confirmation run in the order of recording."""
        rows = self._connection.execute(f"SELECT record, {_CONFIRM_KEY} FROM confirm_runs ORDER BY rowid")
        return [
            ConfirmRun(entry, seed, trial, json.loads(record), data_seed, epochs_factor)
            for record, entry, seed, trial, data_seed, epochs_factor in rows
        ]

    def confirm_keys(self) -> list[tuple[str, int | None, int | None, int, int]]:
        """Return (entry, seed, trial, data_seed, epochs_factor) of every confirmation run; reads no record."""
        return self._connection.execute(f"SELECT {_CONFIRM_KEY} FROM confirm_runs ORDER BY rowid").fetchall()


def counts_of(plain: Mapping[str, Any]) -> ClassCounts:
    """Return the counts that a record holds as {correct, seen}."""
    return ClassCounts(tuple(plain["correct"]), tuple(plain["seen"]))
