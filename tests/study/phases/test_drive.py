"""What is said of a teacher that is no better than the student without one, and what a resumed study knows already."""

from types import SimpleNamespace
from typing import Any

from study.phases import drive
from study.phases.drive import teacher_warnings
from study.records.run_tables import ConfirmRun
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
