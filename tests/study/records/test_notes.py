"""Notes beside the search: sealed with it, refused while a driver runs, all or nothing."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna_dashboard import get_note, save_note

from study.lock import LOCK, StudyLock
from study.records.ledger import Ledger
from study.records.notes import AnnotationError, annotate
from study.schema import STUDY_NAME


@pytest.fixture
def folder(ledger: Ledger, database: Path, seed_of: Callable, epoch: Callable) -> Path:
    """A study folder with one finished trial, closed and sealed."""
    ledger.ask(seed_of)
    ledger.record(0, [epoch(k) for k in (1, 2, 3, 4)])
    ledger.complete(0)
    ledger.close()
    return database.parent


def _study(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{folder / 'study.db'}")


def _write(study: optuna.Study) -> None:
    study.set_user_attr("report/best1/test_all", 0.745)
    save_note(study, "**found**")


def test_attributes_and_notes_leave_the_seals_whole(folder: Path) -> None:
    annotate(folder, _write)
    Ledger.open(folder / "study.db").close()  # a broken seal would be refused
    study = _study(folder)
    assert study.user_attrs["report/best1/test_all"] == 0.745
    assert get_note(study) == "**found**"
    annotate(folder, _write)
    Ledger.open(folder / "study.db").close()


def test_a_note_from_the_dashboards_own_page_breaks_no_seal_and_an_attribute_does(folder: Path) -> None:
    save_note(_study(folder), "typed by a reader")
    Ledger.open(folder / "study.db").close()
    _study(folder).set_user_attr("settings", {})
    with pytest.raises(Exception, match="the study's settings"):
        Ledger.open(folder / "study.db")


def test_a_study_that_a_driver_holds_is_refused(folder: Path) -> None:
    before = (folder / "study.db").read_bytes()
    with StudyLock(folder / LOCK), pytest.raises(AnnotationError, match="one driver at a time"):
        annotate(folder, _write)
    assert (folder / "study.db").read_bytes() == before


def test_what_was_altered_is_not_sealed_again(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "study.db")) as connection, connection:
        connection.execute("UPDATE trial_values SET value = 0.99")
    with pytest.raises(AnnotationError, match="altered after it was written: trial 0"):
        annotate(folder, _write)
    assert "report/best1/test_all" not in _study(folder).user_attrs


def test_a_write_that_fails_leaves_nothing(folder: Path) -> None:
    def stumbling(study: optuna.Study) -> None:
        _write(study)
        raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        annotate(folder, stumbling)
    assert get_note(_study(folder)) == ""
    Ledger.open(folder / "study.db").close()


def test_a_damaged_file_is_named(folder: Path) -> None:
    (folder / "study.db").write_bytes(b"no database" * 100)
    with pytest.raises(AnnotationError, match=r"study\.db is no intact database"):
        annotate(folder, _write)
