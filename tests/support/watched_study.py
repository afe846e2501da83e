"""A study folder looked at from outside while a driver works on it, or after its death: read-only, by SQLite alone."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_EPOCHS = "SELECT number, epoch, record FROM epoch_records ORDER BY number, epoch"
_STATES = "SELECT number, state FROM trials ORDER BY number"
_ATTEMPTS = """SELECT t.number, a.value_json FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id
    WHERE a.key = 'attempts'"""
_TIMES = "SELECT number, datetime_start, datetime_complete FROM trials WHERE state != 'RUNNING' ORDER BY number"
_KNOBS = """SELECT t.number, p.param_name, p.param_value FROM trials t JOIN trial_params p ON p.trial_id = t.trial_id
    ORDER BY t.number, p.param_name"""


@dataclass(frozen=True)
class Span:
    """When a trial was handed out, and when it began and ended to compute; seconds since 1970."""

    asked: float
    began: float
    ended: float


@dataclass(frozen=True)
class WatchedStudy:
    """One study folder."""

    path: Path

    @property
    def manifest_path(self) -> Path:
        """Where study.json is."""
        return self.path / "study.json"

    @property
    def manifest(self) -> dict[str, Any]:
        """study.json."""
        content: dict[str, Any] = json.loads(self.manifest_path.read_text())
        return content

    def states(self) -> list[str]:
        """Each trial's state, by number."""
        return [state for _, state in self._rows(_STATES)]

    def attempts(self) -> dict[int, int]:
        """How often each trial was started, by number."""
        return {number: json.loads(value) for number, value in self._rows(_ATTEMPTS)}

    def epochs(self) -> list[tuple[int, int, dict[str, Any]]]:
        """Every epoch that study.db holds: trial number, epoch, record."""
        return [(number, epoch, json.loads(text)) for number, epoch, text in self._rows(_EPOCHS)]

    def n_epochs(self) -> int:
        """How many those are."""
        return len(self._rows(_EPOCHS))

    def spans(self) -> list[Span]:
        """The ended trials' times by number; each began as many seconds before its end as its epochs took."""
        spent: dict[int, float] = {}
        for number, _, record in self.epochs():
            spent[number] = spent.get(number, 0.0) + _seconds([record])
        times = [
            (number, *(datetime.fromisoformat(text).timestamp() for text in moments))
            for number, *moments in self._rows(_TIMES)
        ]
        return [Span(asked, ended - spent.get(number, 0.0), ended) for number, asked, ended in times]

    def results(self) -> list[tuple[Any, ...]]:
        """Trial by trial: its state, knobs, and every epoch's losses and counts; all but the seconds."""
        knobs: dict[int, list[Any]] = {}
        for number, name, value in self._rows(_KNOBS):
            knobs.setdefault(number, []).append((name, value))
        epochs: dict[int, list[Any]] = {}
        for number, _, record in self.epochs():
            epochs.setdefault(number, []).append({key: record[key] for key in ("epoch", "losses", "lr", "val")})
        return [(state, knobs.get(number), epochs.get(number)) for number, state in enumerate(self.states())]

    def last_checkpoint(self, number: int) -> float | None:
        """`time.time()` of the last checkpoint of a trial, None where there is none."""
        marks = (self.path / "checkpoints" / str(number)).glob("*/checkpoint.json")
        return max((mark.stat().st_mtime for mark in marks), default=None)

    def first_step(self) -> float | None:
        """`time.time()` at which the first trial began to train, by its checkpoint and the seconds in it; or None."""
        marks = [*(self.path / "checkpoints").glob("*/*/checkpoint.json")]
        return min(
            (mark.stat().st_mtime - _seconds(json.loads(mark.read_text())["records"]) for mark in marks), default=None
        )

    def _rows(self, query: str) -> list[Sequence[Any]]:
        if not (self.path / "study.db").exists():
            return []
        with closing(sqlite3.connect(f"file:{self.path / 'study.db'}?mode=ro", uri=True, timeout=10)) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError:  # not made yet
                return []


def _seconds(records: Sequence[Mapping[str, Any]]) -> float:
    """Seconds that epochs took."""
    return sum(record["train_s"] + record["eval_s"] for record in records)
