"""Notes beside the search: refused while a driver runs, all or nothing."""

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna_dashboard import get_note, save_note

from study.lock import LOCK, study_lock
from study.records.ledger import Ledger
from study.records.notes import AnnotationError, annotate
from study.schema import STUDY_NAME


@pytest.fixture
def folder(ledger: Ledger, database: Path, seed_of: Callable, epoch: Callable) -> Path:
    """A study folder with one finished trial, closed."""
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


def test_attributes_and_notes_leave_the_search_as_it_was(folder: Path) -> None:
    annotate(folder, _write)
    Ledger.open(folder / "study.db").close()
    study = _study(folder)
    assert study.user_attrs["report/best1/test_all"] == 0.745
    assert get_note(study) == "**found**"
    annotate(folder, _write)
    Ledger.open(folder / "study.db").close()


def test_what_another_program_adds_does_not_lock_the_study(folder: Path) -> None:
    save_note(_study(folder), "typed by a reader")
    _study(folder).set_user_attr("reviewed", True)
    Ledger.open(folder / "study.db").close()


def test_a_study_that_a_driver_holds_is_refused(folder: Path) -> None:
    before = (folder / "study.db").read_bytes()
    with study_lock(folder / LOCK), pytest.raises(AnnotationError, match="one driver at a time"):
        annotate(folder, _write)
    assert (folder / "study.db").read_bytes() == before


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
