"""Seals on what study.db holds: a digest beside every trial and every set of runs, so that a byte that changed on the
disk is found and named, not believed.

SQLite's own check finds torn pages and broken indices, not another digit in a value. A seal is written in the
transaction of what it seals. A file without any seals is of an earlier version and is sealed when it is opened.
Reading needs the standard library and Optuna only, so that the analysis can look at the seals too.
"""

import json
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from study.schema import BASELINE_PREFIX, STUDY_NAME
from trainables.cckd.files.digests import json_digest
from trainables.cckd.files.sealed import unsealed

__all__ = [
    "CONFIRMATION",
    "LAYOUT",
    "RERUNS",
    "SELECTION",
    "STUDY",
    "broken",
    "computed",
    "of",
    "of_confirmation",
    "of_epoch",
    "of_reruns",
    "of_selection",
    "of_study",
    "of_trial",
    "of_trial_number",
    "put",
    "read_searches",
    "sealed_trials",
    "searches",
    "stored",
    "table",
    "unsealed",
]

LAYOUT = "CREATE TABLE IF NOT EXISTS seals (what TEXT PRIMARY KEY, digest TEXT NOT NULL)"

#: Names of the seals beside those of trials.
STUDY, SELECTION, CONFIRMATION = "the study's settings", "the selection's runs", "the confirmation's runs"
RERUNS = "the attempts of the later phases"

#: System attributes that users of optuna-dashboard write from its pages.
_OTHERS = ("dashboard:", "artifacts:")

#: Names of searches: the studied method's, and those of tuned baselines.
_SEARCH = re.compile(rf"{STUDY_NAME}|{BASELINE_PREFIX}[a-z0-9_]{{1,64}}")

_RERUN_ROWS = "SELECT name, attempts, failures, cause, failed FROM rerun_attempts ORDER BY name"
_CONFIRMATION_ROWS = "SELECT entry, seed, data_seed, trial, record FROM confirm_runs ORDER BY rowid"


def searches(storage: BaseStorage) -> list[str]:
    """Return the names of the searches that a study.db holds, in the order they were made; others are not ours."""
    studies = sorted(storage.get_all_studies(), key=lambda study: study._study_id)
    return [study.study_name for study in studies if _SEARCH.fullmatch(study.study_name)]


def table(kind: str, search: str) -> str:
    """Return the name of a search's own table of `kind` (epoch_records, selection_runs).

    The studied method's are called as they were before baselines could be tuned too.
    """
    if not _SEARCH.fullmatch(search):  # it becomes part of a statement
        raise ValueError(f"a search is called {STUDY_NAME} or {BASELINE_PREFIX}<baseline>; got {search!r}")
    return kind if search == STUDY_NAME else f"{kind}_{search.removeprefix(BASELINE_PREFIX)}"


def of(what: str, search: str) -> str:
    """Return the name of a seal of one search."""
    return what if search == STUDY_NAME else f"{what} of {search}"


def of_study(
    directions: Sequence[StudyDirection], user_attrs: Mapping[str, Any], system_attrs: Mapping[str, Any]
) -> str:
    """The seal of what holds for all trials; notes and files of optuna-dashboard decide nothing and may change."""
    settled = {key: value for key, value in system_attrs.items() if not key.startswith(_OTHERS)}
    return json_digest([[direction.name for direction in directions], dict(user_attrs), settled])


def of_epoch(epoch: int, record: Mapping[str, Any]) -> str:
    """The digest of one epoch's record."""
    return json_digest([epoch, dict(record)])


def of_trial(trial: FrozenTrial, record_digests: Iterable[str]) -> str:
    """The seal of a trial and its epochs, ascending, each by `of_epoch`; its times are not part of it."""
    return json_digest(
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


def of_selection(connection: sqlite3.Connection, search: str = STUDY_NAME) -> str:
    """The seal of the runs of a search's selection."""
    rows = connection.execute(f"SELECT trial, seed, record FROM {table('selection_runs', search)} ORDER BY rowid")
    return json_digest([[*key, json.loads(record)] for *key, record in rows])


def of_confirmation(connection: sqlite3.Connection) -> str:
    """The seal of the confirmation's runs."""
    return json_digest([[*key, json.loads(record)] for *key, record in connection.execute(_CONFIRMATION_ROWS)])


def of_reruns(connection: sqlite3.Connection) -> str:
    """The seal of the attempts of the selection's and the confirmation's runs."""
    return json_digest([list(row) for row in connection.execute(_RERUN_ROWS)])


def put(connection: sqlite3.Connection, what: str, seal: str) -> None:
    """Write a seal, in the transaction that is open."""
    connection.execute("INSERT OR REPLACE INTO seals VALUES (?, ?)", (what, seal))


def stored(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the seals by name; none where the file has no such table."""
    known = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'seals'").fetchone()[0]
    return dict(connection.execute("SELECT what, digest FROM seals")) if known else {}


def computed(connection: sqlite3.Connection, found: Mapping[str, tuple[str, Iterable[FrozenTrial]]]) -> dict[str, str]:
    """Return the seals that a study.db with this content must have.

    Args:
        connection: to the file, for our own tables.
        found: name of every search -> its seal from `of_study`, and all its trials as Optuna reads them from the file.
    """
    of_searches = [_of_search(connection, search, *parts) for search, parts in found.items()]
    runs = {CONFIRMATION: of_confirmation(connection)}
    # An earlier version kept no such table; without a row there is nothing that was sealed.
    kept = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'rerun_attempts'").fetchone()[0]
    if kept and connection.execute("SELECT count(*) FROM rerun_attempts").fetchone()[0]:
        runs[RERUNS] = of_reruns(connection)
    return {what: seal for seals in (*of_searches, runs) for what, seal in seals.items()}


def read_searches(storage: BaseStorage) -> dict[str, tuple[str, tuple[FrozenTrial, ...]]]:
    """Read what `computed` needs of every search in a study.db."""
    found = {}
    for search in searches(storage):
        study_id = storage.get_study_id_from_name(search)
        directions, user_attrs = storage.get_study_directions(study_id), storage.get_study_user_attrs(study_id)
        seal = of_study(directions, user_attrs, storage.get_study_system_attrs(study_id))
        found[search] = seal, tuple(storage.get_all_trials(study_id, deepcopy=False))
    return found


def _of_search(
    connection: sqlite3.Connection, search: str, study_seal: str, trials: Iterable[FrozenTrial]
) -> dict[str, str]:
    epochs: dict[int, list[str]] = {}
    records = table("epoch_records", search)
    for number, epoch, record in connection.execute(
        f"SELECT number, epoch, record FROM {records} ORDER BY number, epoch"
    ):
        epochs.setdefault(number, []).append(of_epoch(epoch, json.loads(record)))
    of_trials = {of_trial_number(trial.number): of_trial(trial, epochs.pop(trial.number, ())) for trial in trials}
    strays = {f"the epochs of trial {number}": "there is no such trial" for number in epochs}
    all_of_it = {STUDY: study_seal, **of_trials, **strays, SELECTION: of_selection(connection, search)}
    return {of(what, search): seal for what, seal in all_of_it.items()}


def broken(there: Mapping[str, str], computed: Mapping[str, str]) -> list[str]:
    """Return the names of what is not as it was sealed; nothing where there are no seals at all."""
    return sorted(what for what in {*there, *computed} if there.get(what) != computed.get(what)) if there else []


def sealed_trials(database: Path, *, required: bool = False) -> tuple[FrozenTrial, ...]:
    """Read the trials of somebody's study.db, which is not written to, and hold all of it against its seals.

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
        found = read_searches(storage)
        with closing(sqlite3.connect(snapshot)) as connection:
            there = stored(connection)
            altered = broken(there, computed(connection, found)) if there else []
        storage.engine.dispose()
    if altered:
        raise ValueError(f"altered after it was written: {', '.join(altered[:5])}")
    if required and not there:
        raise ValueError("it has no seals; `python -m study.resume` seals a study of an earlier version")
    return found[STUDY_NAME][1]
