"""What is said of a teacher that is no better than the student without one, and what a resumed study knows already."""

import sqlite3
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from study.phases import drive
from study.phases.drive import teacher_warnings
from study.phases.state.study_in_progress import Study, StudyFailed
from study.records.ledger import Ledger
from study.records.run_tables import ConfirmRun
from study.records.store import StudyStore
from tests.study.phases.played import Answered


def _la(*right: int) -> list[ConfirmRun]:
    return [
        ConfirmRun("la", seed, None, {"val": {"correct": [n, n], "seen": [10, 10]}, "test": None})
        for seed, n in enumerate(right)
    ]


def test_a_teacher_worse_than_la_on_val_is_told_loudly() -> None:
    (line,) = teacher_warnings({"val_balanced_accuracy": 0.6}, _la(6, 8))
    assert "THE TEACHER IS WORSE THAN la on val: balanced accuracy 0.600 against 0.700 (mean of 2 seeds)" in line


def test_a_teacher_as_good_as_la_is_not() -> None:
    assert teacher_warnings({"val_balanced_accuracy": 0.7}, _la(6, 8)) == []


def test_without_la_nothing_is_claimed() -> None:
    assert teacher_warnings({"val_balanced_accuracy": 0.1}, []) == []


def test_a_resumed_study_does_not_count_its_students_parameters_again() -> None:
    started: list[Any] = []
    engine = SimpleNamespace(beside=lambda *asked: started.append(asked) or Answered(int))
    known = {"name": "resnet8_cifar", "n_parameters": 77_000}
    data = SimpleNamespace(image_shape=(1, 28, 28), class_names=("a", "b"))
    checked = SimpleNamespace(plan=SimpleNamespace(student="resnet8_cifar"), data=data)
    for manifest, is_known in (({"student": known}, True), ({"student": known | {"n_parameters": None}}, False)):
        store = SimpleNamespace(manifest=lambda found=manifest: found)
        study: Any = SimpleNamespace(checked=checked, store=store, engine=engine)
        assert (drive.count_parameters(study) is None) == is_known
    assert [asked[1:] for asked in started] == [("resnet8_cifar", 2, 1, 28)]


FULL = sqlite3.OperationalError("database or disk is full")


@pytest.mark.parametrize(
    "end", [KeyboardInterrupt(), StudyFailed("3 of 4 trials failed"), OSError(28, "No space left")]
)
@pytest.mark.parametrize(
    ("where", "fault"),
    [((Ledger, "note_interruption"), FULL), ((StudyStore, "export_tables"), OSError(30, "Read-only file system"))],
)
def test_a_disk_that_refuses_the_last_notes_hides_no_end(
    study: Study, monkeypatch: pytest.MonkeyPatch, end: BaseException, where: tuple[type, str], fault: Exception
) -> None:
    _ending(monkeypatch, end)
    monkeypatch.setattr(*where, _raising(fault))
    with pytest.raises(type(end)) as raised:
        drive.drive(study)
    assert raised.value is end


def test_a_disk_that_refuses_the_last_tables_of_a_whole_study_is_told(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StudyStore, "export_tables", _raising(FULL))
    with pytest.raises(sqlite3.OperationalError, match="disk is full"), drive._in_order_at_the_end(study):
        pass


def test_an_error_of_ours_in_the_last_notes_is_not_the_disks(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    _ending(monkeypatch, StudyFailed("3 of 4 trials failed"))
    monkeypatch.setattr(Ledger, "note_interruption", _raising(KeyError("x")))
    with pytest.raises(KeyError):
        drive.drive(study)


def _ending(monkeypatch: pytest.MonkeyPatch, end: BaseException) -> None:
    """Let the study end as its Ray starts."""

    @contextmanager
    def ray_session(plan: object) -> Any:
        raise end
        yield

    monkeypatch.setattr(drive, "ray_session", ray_session)


def _raising(error: BaseException) -> Any:
    def act(*_: object) -> None:
        raise error

    return act
