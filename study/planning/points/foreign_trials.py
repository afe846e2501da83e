"""Trials of other tools as they stand there: a study in an SQLite file of Optuna's, or a CSV file."""

import os
import sqlite3
from collections.abc import Callable, Container, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import optuna
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from study.planning.points.csv_rows import read_csv
from study.records.connection import Database
from study.schema import MANIFEST, is_search
from study.terminal.faults import one_line
from trainables.cckd.errors import UsageError
from trainables.cckd.files.digests import sha256_of

_SQLITE = b"SQLite format 3\x00"
_URL = "sqlite:///"

#: Column of a CSV file that holds the values, and the one that holds states, as in Optuna's tables.
VALUE, STATE = "value", "state"

#: What other tools put in front of a knob's name in their tables: Optuna's `trials_dataframe`, Ray Tune's results.
PREFIXES = ("params_", "config/")


@dataclass(frozen=True)
class ForeignTrial:
    """One trial: Optuna's number or the line of the CSV file, its state, what is known of its knobs, and its value."""

    number: int
    state: str
    fields: Mapping[str, Any]
    value: object


@dataclass(frozen=True)
class ForeignStudy:
    """The trials of a source.

    Attributes:
        file: name of the file, without its folder.
        sha256: of the file.
        study: name of Optuna's study; None for a CSV file.
        direction: 'maximize' or 'minimize'; None where the source does not say.
        trials: in the order of the source.
    """

    file: str
    sha256: str
    study: str | None
    direction: str | None
    trials: tuple[ForeignTrial, ...]

    def __str__(self) -> str:
        return f"{self.file}, study {self.study!r}" if self.study else self.file

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all that a trial has, in the order of their appearance."""
        return tuple(dict.fromkeys(name for trial in self.trials for name in trial.fields))

    def renamed(self, known: Mapping[str, str], knobs: Container[str]) -> Self:
        """Return the study with other names: those of `known`, and those of knobs behind a tool's prefix.

        Raises:
            UsageError: two names would be one knob.
        """

        def name_of(name: str) -> str:
            bare = next((name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)), name)
            return known.get(name, bare if bare in knobs else name)

        by_knob: dict[str, list[str]] = {}
        for name in self.columns:
            by_knob.setdefault(name_of(name), []).append(name)
        faults = [f"{self}: {' and '.join(names)} would both be {knob}" for knob, names in by_knob.items() if names[1:]]
        if faults:
            raise UsageError(faults)
        trials = (
            replace(trial, fields={name_of(name): value for name, value in trial.fields.items()})
            for trial in self.trials
        )
        return replace(self, trials=tuple(trials))


def read_source(source: str, *, study: str | None, value: str | None) -> ForeignStudy:
    """Return the trials of a source, which is only read.

    Args:
        source: a CSV file, or an SQLite file of Optuna's (also as `sqlite:///FILE`).
        study: name of the study in an SQLite file; None for the only one.
        value: column of the values in a CSV file; None for VALUE.

    Raises:
        UsageError: it cannot be read, has no such study or column, or has several objectives.
    """
    path = Path(os.path.expanduser(source.removeprefix(_URL)))
    try:
        with path.open("rb") as file:
            is_sqlite = file.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise UsageError(f"SOURCE must be a file that can be read; {source}: {error.strerror}") from error
    if is_sqlite:
        if value is not None:
            raise UsageError(f"--value names a column of a CSV file; {source} is an SQLite file")
        return _of_optuna(path, study)
    if path.suffix != ".csv":
        raise UsageError(f"SOURCE must be a CSV file, named .csv, or an SQLite file of Optuna's; got {source!r}")
    if study is not None:
        raise UsageError(f"--study names a study in an SQLite file of Optuna's; {source} is a CSV file")
    return _of_csv(path, VALUE if value is None else value)


def _of_csv(path: Path, value: str) -> ForeignStudy:
    columns, rows = read_csv(path)
    if value not in columns:
        raise UsageError(f"--value must be a column of {path}, one of {', '.join(columns)}; got {value!r}")
    trials = tuple(
        ForeignTrial(
            row.line,
            row.fields.get(STATE, TrialState.COMPLETE.name).upper(),
            {name: text for name, text in row.fields.items() if name not in (value, STATE)},
            row.fields.get(value),
        )
        for row in rows
    )
    return ForeignStudy(path.name, sha256_of(path), None, None, trials)


def _of_optuna(path: Path, name: str | None) -> ForeignStudy:
    def read(storage: optuna.storages.RDBStorage) -> ForeignStudy:
        names = optuna.get_all_study_names(storage)
        if not names:
            raise UsageError(f"{path} holds no study of Optuna's")
        if name is None and len(names) > 1:
            raise UsageError(f"--study must name one of {', '.join(names)} in {path}; got none")
        if name is not None and name not in names:
            raise UsageError(f"--study must name one of {', '.join(names)} in {path}; got {name!r}")
        found = optuna.load_study(study_name=name or names[0], storage=storage)
        if is_search(found.study_name) and (path.parent / MANIFEST).is_file():
            raise UsageError(f"{path} is of a study of ours, whose folder --warm-start takes itself; got it as SOURCE")
        if len(found.directions) > 1:
            raise UsageError(f"a study with one objective is needed; {found.study_name!r} has {len(found.directions)}")
        trials = tuple(
            ForeignTrial(trial.number, trial.state.name, dict(trial.params), trial.values[0] if trial.values else None)
            for trial in found.get_trials(deepcopy=False)
        )
        return ForeignStudy(path.name, sha256_of(path), found.study_name, found.direction.name.lower(), trials)

    return _on_copy(path, read)


def _on_copy(path: Path, read: Callable[[optuna.storages.RDBStorage], ForeignStudy]) -> ForeignStudy:
    """Read a copy of the file in memory: Optuna would write its tables to a file that lacks them."""
    try:
        with closing(Database(path, copied=True)) as copy:
            return read(copy.storage)
    except UsageError:
        raise
    except (sqlite3.Error, OSError, RuntimeError, ValueError, LookupError, SQLAlchemyError) as error:
        said = one_line(f"{type(error).__name__}: {error}")
        raise UsageError(f"{path} must be an intact SQLite file of this version of Optuna; {said}") from error
