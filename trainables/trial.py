"""The one Ray file here: a class Trainable that runs the trainer in legs and keeps its own checkpoints.

Ray places, runs and retries it; the numbers come from `trainables.cckd`, which knows no Ray. Checkpoints go to
`<checkpoints>/<number>/<attempt>/` (see shelf.py), not through Ray: its snapshots lag by ten seconds or more and its
experiment folder is not a source for resuming. A start, first or not, is always the same step: continue
from the furthest whole checkpoint of this trial number, else from nothing.

The driver imports this file too, and torch would cost it seconds before the first trial: only what runs in a worker
imports it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from ray.tune import Trainable

from trainables.cckd.bundle import TeacherState, TestData, TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import BAD_CONFIGURATION, NON_FINITE_LOSS, ConfigError, NonFiniteLossError
from trainables.cckd.metrics import count_classes, count_pairs
from trainables.cckd.precision import Precision
from trainables.cckd.rungs import rungs
from trainables.shelf import MODEL, Shelf

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TrialContext:
    """What every trial of one run shares; the data sets are object references, fetched without a copy.

    Attributes:
        data: reference to a TrialData in the object store.
        teacher: reference to the backbone's weights for `forward` targets, None where no trial may ask for them;
            trials on the CPUs of one node then read one copy of them in its object store.
        test: reference to a TestData, None during the search, which must not see it.
        device: 'cpu' or 'cuda'.
        precision: of the students' passes.
        threads: torch threads of one trial.
        leg_s: seconds after which a trial reports and checkpoints, at the next end of an epoch; a rung always does.
    """

    data: ray.ObjectRef
    teacher: ray.ObjectRef | None
    test: ray.ObjectRef | None
    device: str
    precision: Precision
    threads: int
    leg_s: float = 5.0


class CckdTrial(Trainable):
    """One trial: `config` holds `number`, `attempt`, `config` (flat trial configuration), `checkpoints` (root
    of the shelf) and, for a confirmation run, `export` (file stem for the trained student, or None).

    Each step returns a leg: `number`, `attempt`, `records` (every epoch since the last report; after a restart all
    epochs so far, so that nothing a dead driver or worker knew is missing), `done`, `cause` (None, or why the
    trial can not go on: deterministic faults are reported, not raised, so that Ray does not retry them).
    """

    def setup(self, config: dict[str, Any], context: TrialContext) -> None:
        """Fetch the shared data once an actor, then begin the first trial."""
        self._context = context
        self._data: TrialData = ray.get(context.data)
        self._teacher: nn.Module | None = None
        self._test: TestData | None = None if context.test is None else ray.get(context.test)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same, warmed-up process."""
        self.cleanup()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Leave the machine as it was."""
        self._shelf.leave(self._run)

    def step(self) -> dict[str, Any]:
        """Train up to the next rung, or for `leg_s` seconds, and save a checkpoint."""
        if self._fault is not None:
            return self._leg(done=True, cause=self._fault)
        try:
            self._train_leg()
        except NonFiniteLossError as error:
            return self._leg(done=True, cause=f"{NON_FINITE_LOSS}: {error}")
        self._trainer.save(self._shelf.workplace(self._run, self._part))
        self._shelf.publish(self._run, self._part)
        if not self._trainer.done:
            return self._leg(done=False)
        return self._leg(done=True) | self._finish()

    def _begin(self, config: Mapping[str, Any]) -> None:
        from trainables.cckd.trainer import Trainer

        self._number: int | str = config["number"]
        self._attempt: int = config["attempt"]
        self._export: str | None = config.get("export")
        self._fault: str | None = None
        self._reported = 0
        # A folder an attempt, so that a survivor of a lost one can not write into its successor's.
        self._shelf, self._run, self._part = Shelf(config["checkpoints"]), str(self._number), str(self._attempt)
        try:
            trial_config = TrialConfig.build(config["config"])
            self._trainer = Trainer(
                trial_config,
                self._data,
                device=self._context.device,
                precision=self._context.precision,
                threads=self._context.threads,
                teacher_factory=self._shared_teacher,
            )
            furthest = self._shelf.furthest(self._run)
            if furthest is not None:
                self._trainer.restore(furthest)
        except ConfigError as error:
            self._fault = f"{BAD_CONFIGURATION}: {'; '.join(error.faults)}"

    def _shared_teacher(self, state: TeacherState) -> "nn.Module":
        """The teacher of `forward` targets, kept from trial to trial on weights that the node's processes share."""
        from trainables.cckd.teacher.forward import ForwardTeacher

        if self._teacher is None:
            weights = None if self._context.teacher is None else ray.get(self._context.teacher)
            self._teacher = ForwardTeacher(state, weights)
        return self._teacher

    def _train_leg(self) -> None:
        stops = rungs(self._trainer.config.epochs)
        start = time.monotonic()
        while not self._trainer.done:
            self._trainer.run_epoch()
            if self._trainer.epoch in stops or time.monotonic() - start >= self._context.leg_s:
                return

    def _leg(self, *, done: bool, cause: str | None = None) -> dict[str, Any]:
        records = [] if self._fault else self._trainer.records[self._reported :]
        self._reported += len(records)
        return {
            "number": self._number,
            "attempt": self._attempt,
            "records": [record.to_dict() for record in records],
            "done": done,
            "cause": cause,
        }

    def _finish(self) -> dict[str, Any]:
        """Judge the student on test where this run may, its features on the training images too; export where asked."""
        if self._test is None:
            return {}
        from trainables.cckd.export import export_model
        from trainables.cckd.separability import separability

        predicted, on_test = self._trainer.judge(self._test.images, self._test.labels)
        _, on_train = self._trainer.judge(self._data.train_images, self._data.train_labels)
        counts = count_classes(predicted, self._test.labels, self._data.n_classes)
        if self._export is not None:
            meta = {
                "config": self._trainer.config.flat(),
                "test": {"correct": counts.correct, "seen": counts.seen},
            }
            folder = self._shelf.workplace(self._run, MODEL)
            export_model(self._trainer.student, self._data, folder, self._export, meta=meta)
            self._shelf.publish(self._run, MODEL)
        return {
            "test_correct": list(counts.correct),
            "test_seen": list(counts.seen),
            "test_confusion": count_pairs(predicted, self._test.labels),
            # A key each: Ray flattens a dictionary within a result, and the driver would not find it.
            **{f"test_{name}": values for name, values in separability(on_train, on_test).items()},
        }
