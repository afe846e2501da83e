"""The teacher's fit as a task of a worker. Its steps are kept on the driver's node, so that no folder need be shared.

A worker that dies costs the step that it was at. So does a driver that dies, because the keeper writes each step into
the driver's cache at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from study.execution.tasks import get
from trainables.cckd.bundle.mapped_features import FileArray
from trainables.cckd.teacher.fit.fit_steps import FitSteps, Step, StepFolder
from trainables.cckd.teacher.spec import TeacherSpec

if TYPE_CHECKING:
    from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher

#: Features of one set: an array from Ray's object store, or the place of a file on this machine.
Features = FileArray | NDArray[np.float16]


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


class StepKeeper:
    """A Ray actor on the driver's node: it keeps finished steps in the driver's cache, and what the fit tells."""

    def __init__(self, folder: Path) -> None:
        self._store = StepFolder(folder)
        self._told: list[tuple[int, str]] = []

    def read(self, name: str) -> Step | None:
        """As `StepFolder.read`."""
        return self._store.read(name)

    def write(self, name: str, step: Step) -> None:
        """As `StepFolder.write`."""
        self._store.write(name, step)

    def tell(self, done: int, note: str) -> None:
        """Note the number of steps that are done."""
        self._told.append((done, note))

    def news(self) -> list[tuple[int, str]]:
        """Return what was told since the last call."""
        told, self._told = self._told, []
        return told


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

    def tell(self, done: int, note: str) -> None:
        """Note the number of steps that are done."""
        get(self._keeper.tell.remote(done, note))


def fit(
    keeper: Any, question: FitQuestion, train: Features, val: Features, n_threads: int, device: str
) -> "FittedTeacher":
    """Fit the teacher in this process.

    Args:
        keeper: the handle of a `StepKeeper`.
        question: what is fitted.
        train, val: raw features, float16 (N, V, D) and (M, D).
        n_threads: threads of a product on the CPU. Ray's own variable comes too late for a process that has numpy.
        device: 'cpu', or 'cuda' for the products of the probe.
    """
    from trainables.cckd.teacher.fit.fitted_teacher import fit_teacher

    kept = KeptElsewhere(keeper)
    with threadpool_limits(n_threads):
        return fit_teacher(
            question.spec,
            _opened(train),
            question.train_labels,
            _opened(val),
            question.val_labels,
            steps=FitSteps(kept, kept.tell),
            device=device,
            **question.options,
        )


def _opened(features: Features) -> NDArray[np.float16]:
    return features.open() if isinstance(features, FileArray) else features
