"""What tests of whole studies share: how one is started, waited for, interrupted and read."""

import csv
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Command, Ended

#: The teacher at its smallest; what it knows does not matter here.
TEACHER = ("--teacher-size", "32", "--teacher-views", "2")
SMOKE = ("--space", "acckd_smoke", "--data", "digits_lt", "--recipe", "quick", *TEACHER)

#: `start(name, *argv)` starts a study; returns its folder and the command.
Start = Callable[..., tuple[Path, Command]]


@dataclass(frozen=True)
class Study:
    """A study folder, and how the command that made it ended."""

    path: Path
    ended: Ended

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.path / "study.json").read_text())

    def csv(self, name: str) -> list[dict[str, str]]:
        return csv_rows(self.path, name)

    def trials(self) -> list[Any]:
        import optuna

        study = optuna.load_study(study_name="search", storage=f"sqlite:///{self.path / 'study.db'}")
        return study.get_trials()

    def states(self) -> list[str]:
        return [trial.state.name for trial in self.trials()]

    def results(self) -> list[tuple[Any, ...]]:
        """Trial by trial: knobs, state, and every epoch's losses and counts; all but the seconds."""
        rows = [(trial.params, trial.state.name, trial.intermediate_values) for trial in self.trials()]
        return [(*row, epochs(self.path, number)) for number, row in enumerate(rows)]


def starter(base: Path, data_root: Path | None = None) -> Start:
    """Start studies under `base`; all share one data root, so that the teacher is paid for once.

    Args:
        base: the folder of the studies.
        data_root: base/data by default.
    """

    def start(name: str, *argv: str) -> tuple[Path, Command]:
        folders = ("--data-root", str(data_root or base / "data"), "--out", str(base), "--name", name)
        return base / name, Command("study.run", *folders, *argv)

    return start


def interrupted(path: Path, command: Command) -> Study:
    """Wait for the end that Ctrl-C must come to."""
    stopped = Study(path, command.end(60))
    assert (stopped.ended.code, stopped.ended.err) == (130, "")
    assert stopped.ended.lines[-2:] == [f"  python -m study.resume {path}", f"study: {path}"]
    assert stopped.manifest["status"] == "interrupted"
    return stopped


def wait(command: Command, happens: Callable[[], bool]) -> None:
    limit = time.monotonic() + 240
    while command.running and time.monotonic() < limit:
        if happens():
            return
        time.sleep(0.02)
    pytest.fail(f"it never came to that: {command.end(1) if not command.running else 'slow'}")


def epochs(path: Path, number: int) -> list[dict[str, Any]]:
    rows: Iterator[Sequence[Any]] = (row for row in table_rows(path, "epoch_records") if row[0] == number)
    records = [json.loads(record) for _, _, record in sorted(rows)]
    return [{key: record[key] for key in ("epoch", "losses", "lr", "val")} for record in records]


def table_rows(path: Path, table: str) -> list[Sequence[Any]]:
    """A table of the study.db in the folder `path`; empty where it is not made yet."""
    return query(path, f"SELECT * FROM {table}")


def query(path: Path, sql: str) -> list[Sequence[Any]]:
    """What the study.db in the folder `path` answers; nothing where its tables are not made yet."""
    if not (path / "study.db").exists():
        return []
    with closing(sqlite3.connect(f"{(path / 'study.db').as_uri()}?mode=ro", uri=True, timeout=10)) as reader:
        try:
            return reader.execute(sql).fetchall()
        except sqlite3.OperationalError:
            return []


def csv_rows(path: Path, name: str) -> list[dict[str, str]]:
    """A CSV file of the folder `path`."""
    with (path / name).open(newline="") as handle:
        return list(csv.DictReader(handle))
