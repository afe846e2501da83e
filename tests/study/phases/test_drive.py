"""What is said of a teacher that is no better than the student without one, and what a resumed study knows already."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from study.phases.drive import student_of, teacher_warnings
from study.phases.phase import StudyFailed
from study.records.run_tables import ConfirmRun
from trainables.cckd.errors import ConfigError


class _TaskError(Exception):
    """Stands for Ray's RayTaskError."""

    cause = ConfigError("student 'x' cannot be built")


def _raising(reference: Any) -> int:
    raise _TaskError("a long traceback")


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


def test_a_resumed_study_does_not_count_its_students_parameters_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # a worker could not be asked
    known = {"name": "resnet8_cifar", "n_parameters": 77_000}
    data = SimpleNamespace(image_shape=(1, 28, 28), class_names=("a", "b"))
    checked = SimpleNamespace(plan=SimpleNamespace(student="resnet8_cifar"), data=data)
    for manifest, is_known in (({"student": known}, True), ({"student": known | {"n_parameters": None}}, False)):
        study: Any = SimpleNamespace(checked=checked, store=SimpleNamespace(manifest=lambda found=manifest: found))
        if is_known:
            assert student_of(study)(True) is None, "the manifest has it"
        else:
            with pytest.raises(ImportError):
                student_of(study)


def test_a_student_is_filed_when_it_is_counted_and_waited_for_only_where_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready: list[str] = []
    ray = SimpleNamespace(
        is_initialized=lambda: True,
        wait=lambda asked, timeout: (ready, asked),
        get=lambda reference: 77_850,
        exceptions=SimpleNamespace(RayTaskError=_TaskError),
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    task = SimpleNamespace(remote=lambda *asked: asked)
    monkeypatch.setattr("study.phases.drive.behind_trials", lambda function: task)
    data = SimpleNamespace(image_shape=(1, 28, 28), class_names=("a", "b"))
    checked = SimpleNamespace(plan=SimpleNamespace(student="resnet8_cifar"), data=data)
    study: Any = SimpleNamespace(checked=checked, store=SimpleNamespace(manifest=dict))
    entry, counted = student_of(study), {"name": "resnet8_cifar", "n_parameters": 77_850}
    assert entry(False) is None
    assert entry(True) == counted
    ready.append("count")
    assert entry(False) == counted
    monkeypatch.setattr(ray, "get", _raising)
    with pytest.raises(StudyFailed, match=r"^student 'x' cannot be built; begin another study with another --student$"):
        entry(False)
    ray.is_initialized = lambda: False
    assert entry(False) is None, "Ray is gone"
