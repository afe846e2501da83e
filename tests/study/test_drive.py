"""What is said of a teacher that is no better than the student without one."""

from study.drive import teacher_warnings
from study.record_tables import ConfirmRun


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
