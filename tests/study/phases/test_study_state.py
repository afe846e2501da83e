"""What a study in progress writes besides its phases' results."""

from types import SimpleNamespace
from typing import Any

import pytest

from study.execution.tasks import TaskError
from study.phases.study_state import Study, StudyFailed

COUNTED = {"name": "cifar_resnet20", "n_parameters": 77_850}


def _raise() -> int:
    raise TaskError("student 'x' cannot be built")


def test_a_student_is_recorded_when_it_is_counted_and_waited_for_only_if_asked(study: Study) -> None:
    future: Any = SimpleNamespace(is_ready=False, result=lambda: COUNTED["n_parameters"])
    name = study.checked.plan.student
    study.student = future
    study.record_student()
    assert study.store.manifest()["student"].get("n_parameters") is None
    study.record_student(wait=True)
    assert study.store.manifest()["student"] == COUNTED | {"name": name}
    assert study.student is None


def test_a_student_that_cannot_be_built_ends_the_study(study: Study) -> None:
    study.student = SimpleNamespace(is_ready=True, result=_raise)  # type: ignore[assignment]
    with pytest.raises(StudyFailed, match=r"^student 'x' cannot be built; begin another study with another --student$"):
        study.record_student()
