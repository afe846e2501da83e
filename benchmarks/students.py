"""Students of given configurations, trained side by side on the same images and teacher outputs."""

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.targets import prepare
from study.planning.readers import read_value
from trainables.cckd.bundle.assemble import assemble_test
from trainables.cckd.bundle.trial_data import TestData, TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.load import load_data
from trainables.cckd.data.spec import DataSpec
from trainables.cckd.errors import NonFiniteLossError
from trainables.cckd.precision import Precision
from trainables.cckd.records import curve_epochs
from trainables.cckd.teacher.spec import TeacherSpec
from trainables.cckd.training.trainer import Trainer


@dataclass(frozen=True)
class Task:
    """One student: its flat configuration, the number format of its passes, and whether it opens the test set."""

    config: dict[str, Any]
    precision: Precision
    opens_test: bool


@dataclass(frozen=True)
class Student:
    """One trained student.

    Attributes:
        task: as given.
        val: evaluated epoch -> correct answers per class on D_val, (C,), at 20 evenly spaced epochs; empty where the
            training diverged.
        test: correct answers per class on the test set, (C,); None where it stayed closed.
        train_s: seconds of the training epochs.
    """

    task: Task
    val: dict[int, list[int]]
    test: list[int] | None
    train_s: float


@dataclass(frozen=True)
class World:
    """What all students see: images and teacher outputs, and the test set."""

    data: TrialData
    test: TestData

    @property
    def val_seen(self) -> list[int]:
        """Images of D_val per class, (C,)."""
        return _per_class(self.data.val_labels, self.data.n_classes)

    @property
    def test_seen(self) -> list[int]:
        """Images of the test set per class, (C,)."""
        return _per_class(self.test.labels, self.data.n_classes)


def make_world(spec: DataSpec, data_root: Path, teacher: TeacherSpec, workers: int) -> World:
    """Read a data set and let the teacher see it."""
    data = load_data(spec, data_root=data_root.absolute())
    return World(prepare(data, workers, spec=teacher, targets=("in_fold",))[0]["in_fold"], assemble_test(data))


def train_students(tasks: Sequence[Task], world: World, workers: int) -> Iterator[Student]:
    """Yield the student of each task as it finishes; `workers` of them train at a time, on one core each."""
    with multiprocessing.get_context("fork").Pool(workers, _adopt, (world,)) as pool:
        yield from pool.imap_unordered(_train, tasks)


_world: World


def _adopt(world: World) -> None:
    global _world
    _world = world


def _train(task: Task) -> Student:
    config = TrialConfig.build(task.config)
    trainer = Trainer(config, _world.data, precision=task.precision, threads=1, evaluated=curve_epochs(config.epochs))
    try:
        records = list(trainer)
    except NonFiniteLossError:
        return Student(task, {}, None, sum(record.train_s for record in trainer.records))
    val = {record.epoch: list(record.val.correct) for record in records if record.val is not None}
    test = list(trainer.evaluate(_world.test.images, _world.test.labels).correct) if task.opens_test else None
    return Student(task, val, test, round(sum(record.train_s for record in records), 2))


def setting_of(text: str) -> tuple[str, Any]:
    """Return name and value of `KEY=VALUE`, read as `--set` reads it."""
    key, _, value = text.partition("=")
    return key, read_value(value)


def _per_class(labels: Any, n_classes: int) -> list[int]:
    return [int((labels == label).sum()) for label in range(n_classes)]
