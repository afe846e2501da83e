"""Seals on what study.db holds: a digest beside every trial and every set of runs, so that a byte that changed on the
disk is found and named, not believed.

SQLite's own check finds torn pages and broken indices, not another digit in a value. A seal is written in the
transaction of what it seals. A file without any seals is of an earlier version and is sealed when it is opened.
Reading needs the standard library and Optuna only, so that the analysis can look at the seals too.
"""

import json
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from study.schema import STUDY_NAME
from trainables.cckd.sealed import digest, unsealed

__all__ = [
    "CONFIRMATION",
    "LAYOUT",
    "RERUNS",
    "SELECTION",
    "STUDY",
    "broken",
    "computed",
    "of_confirmation",
    "of_epoch",
    "of_reruns",
    "of_selection",
    "of_study",
    "of_trial",
    "of_trial_number",
    "put",
    "sealed_trials",
    "stored",
    "unsealed",
]

LAYOUT = "CREATE TABLE IF NOT EXISTS seals (what TEXT PRIMARY KEY, digest TEXT NOT NULL)"

#: Names of the seals beside those of trials.
STUDY, SELECTION, CONFIRMATION = "the study's settings", "the selection's runs", "the confirmation's runs"
RERUNS = "the attempts of the later phases"

#: System attributes that users of optuna-dashboard write from its pages.
_OTHERS = ("dashboard:", "artifacts:")

_SELECTION_ROWS = "SELECT trial, seed, record FROM selection_runs ORDER BY rowid"
_RERUN_ROWS = "SELECT name, attempts, failures, cause, failed FROM rerun_attempts ORDER BY name"
_CONFIRMATION_ROWS = "SELECT entry, seed, data_seed, trial, record FROM confirm_runs ORDER BY rowid"


def of_study(
    directions: Sequence[StudyDirection], user_attrs: Mapping[str, Any], system_attrs: Mapping[str, Any]
) -> str:
    """The seal of what holds for all trials; notes and files of optuna-dashboard decide nothing and may change."""
    settled = {key: value for key, value in system_attrs.items() if not key.startswith(_OTHERS)}
    return digest([[direction.name for direction in directions], dict(user_attrs), settled])


def of_epoch(epoch: int, record: Mapping[str, Any]) -> str:
    """The digest of one epoch's record."""
    return digest([epoch, dict(record)])


def of_trial(trial: FrozenTrial, record_digests: Iterable[str]) -> str:
    """The seal of a trial and its epochs, ascending, each by `of_epoch`; its times are not part of it."""
    return digest(
        {
            "state": trial.state.name,
            "values": None if trial.values is None else [float(value) for value in trial.values],
            "params": trial.params,
            "distributions": {name: distribution_to_json(kind) for name, kind in trial.distributions.items()},
            "intermediate": {step: float(value) for step, value in trial.intermediate_values.items()},
            "user_attrs": trial.user_attrs,
            "system_attrs": trial.system_attrs,
            "epochs": list(record_digests),
        }
    )


def of_trial_number(number: int) -> str:
    """The name of a trial's seal."""
    return f"trial {number}"


def of_selection(connection: sqlite3.Connection) -> str:
    """The seal of the selection's runs."""
    return digest([[*key, json.loads(record)] for *key, record in connection.execute(_SELECTION_ROWS)])


def of_confirmation(connection: sqlite3.Connection) -> str:
    """The seal of the confirmation's runs."""
    return digest([[*key, json.loads(record)] for *key, record in connection.execute(_CONFIRMATION_ROWS)])


def of_reruns(connection: sqlite3.Connection) -> str:
    """The seal of the attempts of the selection's and the confirmation's runs."""
    return digest([list(row) for row in connection.execute(_RERUN_ROWS)])


def put(connection: sqlite3.Connection, what: str, seal: str) -> None:
    """Write a seal, in the transaction that is open."""
    connection.execute("INSERT OR REPLACE INTO seals VALUES (?, ?)", (what, seal))


def stored(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the seals by name; none where the file has no such table."""
    known = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'seals'").fetchone()[0]
    return dict(connection.execute("SELECT what, digest FROM seals")) if known else {}


def computed(connection: sqlite3.Connection, study_seal: str, trials: Iterable[FrozenTrial]) -> dict[str, str]:
    """Return the seals that a study.db with this content must have.

    Args:
        connection: to the file, for our own tables.
        study_seal: from `of_study`.
        trials: all trials, as Optuna reads them from the file.
    """
    epochs: dict[int, list[str]] = {}
    rows = connection.execute("SELECT number, epoch, record FROM epoch_records ORDER BY number, epoch")
    for number, epoch, record in rows:
        epochs.setdefault(number, []).append(of_epoch(epoch, json.loads(record)))
    of_trials = {of_trial_number(trial.number): of_trial(trial, epochs.pop(trial.number, ())) for trial in trials}
    strays = {f"the epochs of trial {number}": "there is no such trial" for number in epochs}
    runs = {SELECTION: of_selection(connection), CONFIRMATION: of_confirmation(connection)}
    # An earlier version kept no such table; without a row there is nothing that was sealed.
    kept = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'rerun_attempts'").fetchone()[0]
    if kept and connection.execute("SELECT count(*) FROM rerun_attempts").fetchone()[0]:
        runs[RERUNS] = of_reruns(connection)
    return {STUDY: study_seal, **of_trials, **strays, **runs}


def broken(there: Mapping[str, str], computed: Mapping[str, str]) -> list[str]:
    """Return the names of what is not as it was sealed; nothing where there are no seals at all."""
    return sorted(what for what in {*there, *computed} if there.get(what) != computed.get(what)) if there else []


def sealed_trials(database: Path, *, required: bool = False) -> tuple[FrozenTrial, ...]:
    """Read the trials of somebody's study.db, which is not written to, and hold them against their seals.

    Args:
        database: the file; its driver may be writing to it.
        required: whether a file without seals, of an earlier version, is refused.

    Raises:
        ValueError: something was altered after it was written, or there are no seals though they are required.
        Exception: of SQLite, SQLAlchemy or Optuna, where the file is damaged.
    """
    # Optuna opens a storage for writing. SQLite's own backup takes a consistent snapshot of a database in use
    # through a read-only connection, so that a running driver is never disturbed and the file never changes.
    with tempfile.TemporaryDirectory() as scratch:
        snapshot = Path(scratch) / "snapshot.db"
        with (
            closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(snapshot)) as target,
        ):
            source.backup(target)
        storage = optuna.storages.RDBStorage(f"sqlite:///{snapshot}")
        study = optuna.load_study(study_name=STUDY_NAME, storage=storage)
        trials = tuple(study.get_trials(deepcopy=False))
        system_attrs = storage.get_study_system_attrs(study._study_id)
        study_seal = of_study(study.directions, study.user_attrs, system_attrs)
        with closing(sqlite3.connect(snapshot)) as connection:
            there = stored(connection)
            altered = broken(there, computed(connection, study_seal, trials)) if there else []
        storage.engine.dispose()
    if altered:
        raise ValueError(f"altered after it was written: {', '.join(altered[:5])}")
    if required and not there:
        raise ValueError("it has no seals; `python -m study.resume` seals a study of an earlier version")
    return trials
