"""The check of the teacher's cache: a sample of every cached set is computed again while the study goes on."""

from collections.abc import Sequence
from typing import Any

from study.execution.tasks import get, put, start_beside_driver
from study.teacher.feature_pass import TeacherPass
from study.teacher.worker_tasks import extract_all
from trainables.cckd.teacher.teacher_file import TeacherFile


class Verification:
    """Computes a sample of every set again that came from the cache; `wait` compares.

    One worker does all of it on the CPU of the driver's node, at a low priority. It holds no resource that trials need,
    so waiting for it never blocks them.

    Args:
        file: the teacher's weights.
        size: side of the teacher's input images in pixels.
        passes: the teacher's passes; only those that came from the cache are checked.

    Attributes:
        n_images: images that are computed again.
    """

    def __init__(self, file: TeacherFile, size: int, passes: Sequence[TeacherPass]) -> None:
        self._cached = [one for one in passes if not one.n_passed]
        self.n_images = sum(len(one.store.sample()[0]) for one in self._cached)
        self._again: Any = None
        if self._cached:
            sets: list[Any] = []
            for one in self._cached:
                rows, numbers = one.store.sample()
                sets += [put(one.images), rows, None if one.views is None else one.views[rows, numbers][:, None]]
            self._again = start_beside_driver(extract_all, file, size, *sets, own_process=True)

    def wait(self) -> None:
        """Wait for the samples and compare them; a second call does nothing.

        Raises:
            TeacherError: the cache holds other features than the teacher computes now.
        """
        if self._again is None:
            return
        for one, again in zip(self._cached, get(self._again), strict=True):
            one.store.compare(one.features, again.reshape(len(again), -1))
        self._again = None
