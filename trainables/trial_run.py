"""One run in legs, without Ray: begin or continue it, train to the next rung, save, and report the leg.

Checkpoints go to `<checkpoints>/<number>/<attempt>/` (see checkpoint_store.py). Every start, the first included, is
the same step: continue from the furthest whole checkpoint of this number; without one, start from nothing.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from trainables.cckd.bundle.trial_data import TestData, TrialData
from trainables.cckd.confidence import confidence_bins
from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import BAD_CONFIGURATION, NON_FINITE_LOSS, ConfigError, NonFiniteLossError
from trainables.cckd.metrics import count_classes, count_pairs
from trainables.cckd.records import EpochRecord, curve_epochs, rungs
from trainables.cckd.students.export import export_model
from trainables.cckd.training.separability import separability
from trainables.cckd.training.trainer import Trainer
from trainables.checkpoint_store import MODEL, CheckpointStore
from trainables.trial_context import TrialContext


class Run:
    """A trial or a rerun: `config` as for `trainables.trial.CckdTrial`."""

    def __init__(
        self,
        config: Mapping[str, Any],
        context: TrialContext,
        run_epoch: Callable[[Trainer], EpochRecord] = Trainer.run_epoch,
    ) -> None:
        """Begin or continue a run. The first leg reports a configuration that cannot be trained.

        Args:
            config: number, attempt, flat configuration, folders.
            context: fetched; shared with the other runs of this process.
            run_epoch: trains the next epoch, alone or together with the epochs of other runs.
        """
        self._context, self._run_epoch = context, run_epoch
        self._number: int | str = config["number"]
        self._attempt: int = config["attempt"]
        self._export: str | None = config.get("export")
        self._opens_test: bool = config.get("opens_test", False)
        self._fault: str | None = None
        self._reported = 0
        # One folder per attempt: a surviving process of a lost attempt cannot write into its successor's folder.
        self._shelf = CheckpointStore(config["checkpoints"])
        self._name, self._part = str(self._number), str(self._attempt)
        try:
            trained = TrialConfig.build(config["config"])
            self._trainer = Trainer(
                trained,
                context.data,
                device=context.device,
                precision=context.precision,
                threads=context.threads,
                teacher_factory=lambda _: context.forward_teacher,
                evaluated=curve_epochs(trained.epochs) if config.get("curve") else None,
            )
            furthest = self._shelf.furthest(self._name)
            if furthest is not None:
                self._trainer.restore(furthest)
        except ConfigError as error:
            self._fault = f"{BAD_CONFIGURATION}: {'; '.join(error.faults)}"

    def step(self) -> dict[str, Any]:
        """Train up to the next rung or for `leg_s` seconds, save a checkpoint, and return the leg."""
        if self._fault is not None:
            return self._leg(done=True, cause=self._fault)
        try:
            self._train_leg()
        except NonFiniteLossError as error:
            return self._leg(done=True, cause=f"{NON_FINITE_LOSS}: {error}")
        self._trainer.save(self._shelf.workplace(self._name, self._part))
        self._shelf.publish(self._name, self._part)
        if not self._trainer.done:
            return self._leg(done=False)
        return self._leg(done=True) | self._finish()

    def leave(self) -> None:
        """Remove the run's local copies."""
        self._shelf.leave(self._name)

    def _train_leg(self) -> None:
        stops = rungs(self._trainer.config.epochs)
        start = time.monotonic()
        while not self._trainer.done:
            self._run_epoch(self._trainer)
            if self._trainer.epoch in stops or time.monotonic() - start >= self._context.leg_s:
                return

    def _leg(self, *, done: bool, cause: str | None = None) -> dict[str, Any]:
        records = () if self._fault else self._trainer.records[self._reported :]
        self._reported += len(records)
        return {
            "number": self._number,
            "attempt": self._attempt,
            "records": [record.to_dict() for record in records],
            "done": done,
            "cause": cause,
        }

    def _finish(self) -> dict[str, Any]:
        """Judge the student on the test set, where the run may read it; export the student, where that is asked for."""
        if not self._opens_test:
            return {}
        test: TestData = self._context.test
        data: TrialData = self._context.data
        on_test = self._trainer.judge(test.images, test.labels)
        on_train = self._trainer.judge(data.train_images, data.train_labels)
        counts = count_classes(on_test.predicted, test.labels, data.n_classes)
        bins = confidence_bins(on_test.confidence, on_test.predicted == test.labels)
        if self._export is not None:
            meta = {"config": self._trainer.config.flat(), "test": asdict(counts)}
            folder = self._shelf.workplace(self._name, MODEL)
            correction = self._trainer.learner.correction
            export_model(self._trainer.student, data, folder, self._export, meta=meta, correction=correction)
            self._shelf.publish(self._name, MODEL)
        return {
            # Every epoch: the legs before this one may have gone to an earlier driver.
            "epochs": [record.to_dict() for record in self._trainer.records],
            "test_correct": list(counts.correct),
            "test_seen": list(counts.seen),
            "test_confusion": count_pairs(on_test.predicted, test.labels),
            # One key per list: Ray flattens a dictionary inside a result, and the driver would not find it.
            **{f"test_bin_{name}": list(values) for name, values in bins._asdict().items()},
            **{f"test_{name}": values for name, values in separability(on_train.moments, on_test.moments).items()},
        }
