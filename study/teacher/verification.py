"""Trust in the teacher's cache: of every set that comes from it, a sample is computed again beside the study's work."""

from collections.abc import Sequence
from typing import Any

from study.execution.tuner import behind_trials
from study.teacher.feature_pass import TeacherPass
from study.teacher.worker_tasks import extract_all
from trainables.cckd.teacher.weights import TeacherFile


class Verification:
    """Begins to compute a sample of every set that came from the cache again, and compares when it is waited for.

    One worker does all of it, on the CPU of the driver's node, gives way to others, and holds no resource: whoever
    waits for it holds nothing up that it needs.
    """

    def __init__(self, file: TeacherFile, size: int, passes: Sequence[TeacherPass]) -> None:
        self._cached = [one for one in passes if not one.n_passed]
        #: Images that are computed again.
        self.n_images = sum(len(one.store.sample()[0]) for one in self._cached)
        self._again = _begin(file, size, self._cached) if self._cached else None

    def wait(self) -> None:
        """Wait for the samples and compare; a second call has nothing left to do.

        Raises:
            TeacherError: the cache holds other features than the teacher gives now.
        """
        if self._again is None:
            return
        import ray

        for one, again in zip(self._cached, ray.get(self._again), strict=True):
            one.store.compare(one.features, again.reshape(len(again), -1))
        self._again = None


def _begin(file: TeacherFile, size: int, cached: Sequence[TeacherPass]) -> Any:
    import ray

    sets: list[Any] = []
    for one in cached:
        rows, numbers = one.store.sample()
        sets += [ray.put(one.images), rows, None if one.views is None else one.views[rows, numbers][:, None]]
    return behind_trials(extract_all).remote(file, size, *sets)
