"""The teacher's fit as a task of a worker. Its steps are kept on the driver's node, so that no folder need be shared.

A worker that dies costs the step that it was at. So does a driver that dies, because the keeper writes each step into
the driver's cache at once.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from study.execution.tasks import get, own_node
from study.execution.workers import fit_threads
from study.planning.plan import StudyPlan
from study.teacher.memory import naming_memory
from trainables.cckd.bundle.mapped_features import FeatureSource, opened
from trainables.cckd.teacher.fit.fit_steps import FitSteps, Step, StepFolder
from trainables.cckd.teacher.spec import TeacherSpec

if TYPE_CHECKING:
    from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher

#: What the fit reports: the number of steps that are done, a note, and the time of the driver's clock (`monotonic`).
#: The first report has no step: the fit has begun.
Report = tuple[int, str, float]


@dataclass(frozen=True, eq=False)
class FitQuestion:
    """What is fitted, without the features.

    Attributes:
        spec: the teacher.
        train_labels, val_labels: int64 (N,) and (M,).
        options: further arguments of `fit_teacher`.
    """

    spec: TeacherSpec
    train_labels: NDArray[np.int64]
    val_labels: NDArray[np.int64]
    options: Mapping[str, Any]


def fit_memory(device: str) -> AbstractContextManager[None]:
    """Return a block in which a device with too little memory for the fit is a TeacherError of one line."""
    return naming_memory("the teacher's fit", device, "more memory, fewer --teacher-views, --teacher-form ncm")


class StepKeeper:
    """A Ray actor on the driver's node: it keeps finished steps in the driver's cache, and the fit's reports."""

    def __init__(self, folder: Path) -> None:
        self._store = StepFolder(folder)
        self._reports: list[Report] = []

    def read(self, name: str) -> Step | None:
        """As `StepFolder.read`."""
        return self._store.read(name)

    def write(self, name: str, step: Step) -> None:
        """As `StepFolder.write`."""
        self._store.write(name, step)

    def report(self, done: int, note: str) -> None:
        """Note the number of steps that are done, and when."""
        self._reports.append((done, note, monotonic()))

    def news(self) -> list[Report]:
        """Return the reports since the last call."""
        reports, self._reports = self._reports, []
        return reports


class KeptElsewhere:
    """The steps of a keeper, as a worker on any node uses them.

    Args:
        keeper: the handle of a `StepKeeper`.
    """

    def __init__(self, keeper: Any) -> None:
        self._keeper = keeper

    def read(self, name: str) -> Step | None:
        """As `StepFolder.read`."""
        found: Step | None = get(self._keeper.read.remote(name))
        return found

    def write(self, name: str, step: Step) -> None:
        """As `StepFolder.write`; returns when the step is kept."""
        get(self._keeper.write.remote(name, step))

    def report(self, done: int, note: str) -> None:
        """Report the number of steps that are done to the driver."""
        get(self._keeper.report.remote(done, note))


def fit(
    keeper: Any, question: FitQuestion, train: FeatureSource, val: FeatureSource, plan: StudyPlan
) -> "FittedTeacher":
    """Fit the teacher in this process, with the threads that trials would have on this node.

    Ray's own variable for threads comes too late for a process that has numpy.

    Args:
        keeper: the handle of a `StepKeeper`.
        question: what is fitted.
        train, val: raw features, float16 (N, V, D) and (M, D).
        plan: the study, whose device computes the products of the probe.

    Raises:
        TeacherError: the device has too little memory.
    """
    from trainables.cckd.teacher.fit.fitted_teacher import fit_teacher

    kept = KeptElsewhere(keeper)
    kept.report(0, "a worker has begun")
    with fit_memory(plan.device), threadpool_limits(fit_threads(plan, own_node())):
        return fit_teacher(
            question.spec,
            opened(train),
            question.train_labels,
            opened(val),
            question.val_labels,
            steps=FitSteps(kept, kept.report),
            device=plan.device,
            **question.options,
        )
