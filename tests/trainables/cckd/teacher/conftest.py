"""The real embedded teacher at its smallest input, built once."""

import pytest

from trainables.cckd.teacher.backbone import Backbone, build_backbone
from trainables.cckd.teacher.spec import TeacherSpec, check_teacher
from trainables.cckd.teacher.teacher_file import TeacherFile


@pytest.fixture(scope="session")
def teacher_file() -> TeacherFile:
    """The verified weight file of the installed package."""
    return check_teacher(TeacherSpec())


@pytest.fixture(scope="session")
def backbone(teacher_file: TeacherFile) -> Backbone:
    """The embedded backbone at 32 pixels: a millisecond or two an image."""
    return build_backbone(teacher_file, size=32)
