"""One trial as an iterator of epoch records. Ray, tests, benchmarks and scripts use the same trainer."""

from collections.abc import Collection, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.cckd.batches.steps import Batches, TeacherFactory
from trainables.cckd.batches.streamed_images import evaluation_batches
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.confidence import top_confidence
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.images.decoded_images import Images
from trainables.cckd.errors import ConfigError, NonFiniteLossError
from trainables.cckd.losses.objective import Objective
from trainables.cckd.metrics import count_classes
from trainables.cckd.precision import Precision, default_precision
from trainables.cckd.random_streams import torch_stream
from trainables.cckd.records import ClassCounts, EpochRecord, rungs
from trainables.cckd.students.build import StudentNet
from trainables.cckd.training.allocator import keep_freed_memory
from trainables.cckd.training.checkpoint import CheckpointState, library_versions, read_checkpoint, write_checkpoint
from trainables.cckd.training.learner import Learner
from trainables.cckd.training.schedule import learning_rate
from trainables.cckd.training.separability import ClassMoments, class_moments


class Judgement(NamedTuple):
    """A student's answers to N images.

    `predicted` class ids int64 (N,), the `confidence` in them float64 (N,), and the `moments` of the features by label.
    """

    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    moments: ClassMoments


class Trainer:
    """Trains one student by one configuration.

    Iterating yields one `EpochRecord` per epoch until `done`. On the CPU, equal configuration, data, precision,
    threads, machine and versions give bitwise equal weights, also across `save` and `restore`.

    Attributes:
        config, data: as given.
        device, precision: where it trains, and the number format of the student's passes.
        objective, batches, learner: the loss of a step, its input, and the student with its optimiser. The objective
            changes once where `mix_until` is below 1.
    """

    def __init__(
        self,
        config: TrialConfig,
        data: TrialData,
        *,
        device: str | torch.device = "cpu",
        precision: Precision | None = None,
        threads: int | None = None,
        decoders: int | None = None,
        teacher_factory: TeacherFactory | None = None,
        evaluated: Collection[int] | None = None,
    ) -> None:
        """Build the student, its optimiser and its batches.

        Args:
            config: the trial's configuration.
            data: the study's data; only read.
            device: "cpu" or a CUDA device.
            precision: number format of the student's passes; None for `default_precision`.
            threads: torch's intra-operation threads, set for the whole process; None leaves them unchanged.
            decoders: processes that decode images ahead where the data set is streamed; 0 decodes in this process,
                None takes as many as torch has threads. The numbers do not depend on it.
            teacher_factory: replaces the study's teacher for `forward` targets.
            evaluated: epochs after which the student is evaluated on D_val; None for `rungs`. The weights do not
                depend on them.

        Raises:
            ConfigError: a student that cannot be built, a batch larger than the training set, a `mix_ratio`
                that rounds to no sample.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        keep_freed_memory()
        self.config, self.data = config, data
        self.device = torch.device(device)
        self.precision = precision or default_precision(self.device.type)
        self._evaluated_epochs = frozenset(rungs(config.epochs) if evaluated is None else evaluated)
        self._decoders = torch.get_num_threads() if decoders is None else decoders
        self._mixing = self._plain = self.objective = self._objective(config)
        if self.objective.n_mixed and config.mixing_epochs < config.epochs:
            self._plain = self._objective(config.without_mixing)
        self.batches = Batches(
            config,
            data,
            self.objective,
            device=self.device,
            workers=self._decoders,
            teacher_factory=teacher_factory,
        )
        self.learner = Learner(
            config,
            self.objective,
            n_classes=data.n_classes,
            image_shape=data.image_shape,
            n_teacher_features=data.teacher_features.shape[2],
            device=self.device,
            precision=self.precision,
        )
        self._records: list[EpochRecord] = []

    def _objective(self, config: TrialConfig) -> Objective:
        return Objective(
            config,
            torch.from_numpy(self.data.counts).to(self.device),
            torch.from_numpy(self.data.teacher_log_prior.copy()).to(self.device),
            n_mixed=config.n_mixed,
        )

    @classmethod
    def load(cls, folder: Path, data: TrialData, **options: Any) -> Self:
        """Rebuild a trainer from its checkpoint alone; `options` as for the constructor.

        Raises:
            CheckpointError: the checkpoint is absent or damaged.
            ConfigError: the checkpoint belongs to other data.
        """
        state, _ = read_checkpoint(folder)
        trainer = cls(TrialConfig.build(state.config), data, **options)
        trainer.restore(folder)
        return trainer

    @property
    def student(self) -> StudentNet:
        """The network being trained."""
        return self.learner.student

    @property
    def epoch(self) -> int:
        """Epochs completed."""
        return len(self._records)

    @property
    def done(self) -> bool:
        """Whether every epoch has been trained."""
        return self.epoch >= self.config.epochs

    @property
    def records(self) -> tuple[EpochRecord, ...]:
        """The records of all epochs so far, restored ones included."""
        return tuple(self._records)

    def __iter__(self) -> Iterator[EpochRecord]:
        while not self.done:
            yield self.run_epoch()

    def run_epoch(self) -> EpochRecord:
        """Train one epoch, evaluate it on D_val where that is asked for, and return its record.

        Raises:
            NonFiniteLossError: a loss became NaN or infinite; the trainer cannot be used any more.
        """
        assert not self.done, f"all {self.config.epochs} epochs have been trained"
        started = perf_counter()
        with torch_stream(self.config.seed, "noise", self.epoch + 1, device=self.device):
            history = list(self.steps())
        # The only point of an epoch where the host waits for the device.
        losses = torch.stack(history).double().cpu().numpy()
        return self.conclude(losses, train_s=perf_counter() - started)

    def steps(self) -> Iterator[Tensor]:
        """Take the steps of the next epoch; yield the losses of each step, on the device, as `Learner.step` does."""
        if not self.student.training:
            self.student.train()
        objective = self._mixing if self.epoch < self.config.mixing_epochs else self._plain
        if objective is not self.objective:
            self.objective = objective
            self.batches.serve(objective)
            self.learner.minimise(objective)
        self.objective.advance(self.epoch / self.config.epochs)
        for batch, rate in zip(self.batches.epoch(self.epoch + 1), self.rates(), strict=True):
            yield self.learner.step(batch, rate)
        # The device is still at work on this epoch; meanwhile the host draws the choices of the one after it.
        if self.device.type == "cuda" and self.epoch + 1 < self.config.epochs:
            self.batches.prepare(self.epoch + 2)

    def rates(self) -> list[float]:
        """Return the learning rate of each step of the next epoch."""
        n_steps = self.batches.n_steps
        first, total = self.epoch * n_steps, self.config.epochs * n_steps
        return [
            learning_rate(step, total, self.config.lr, self.config.schedule) for step in range(first, first + n_steps)
        ]

    def conclude(self, losses: NDArray[np.float64], *, train_s: float) -> EpochRecord:
        """Close the epoch whose steps have been taken: evaluate it where asked, keep and return its record.

        Args:
            losses: unweighted losses of S steps in the order of `Objective.weights`, then the total: (S, terms + 1).
            train_s: seconds the steps took.

        Raises:
            NonFiniteLossError: a loss is NaN or infinite.
        """
        epoch, terms = self.epoch + 1, (*self.objective.weights, "total")
        _require_finite(losses, terms, epoch)
        started = perf_counter()
        val = None
        if epoch in self._evaluated_epochs:
            val = self.evaluate(self.data.val_images, self.data.val_labels)
        record = EpochRecord(
            epoch=epoch,
            losses=dict(zip(terms, losses.mean(axis=0).tolist(), strict=True)),
            lr=self.rates()[-1],
            val=val,
            train_s=train_s,
            eval_s=perf_counter() - started if val is not None else 0.0,
        )
        self._records.append(record)
        return record

    def evaluate(self, images: Images, labels: NDArray[np.int64]) -> ClassCounts:
        """Count, per class of `labels` (N,), the images and those that the student classifies right."""
        predicted = [self.learner.predict(pixels) for pixels in self._evaluated(images)]
        return count_classes(torch.cat(predicted).cpu().numpy(), labels, self.data.n_classes)

    def judge(self, images: Images, labels: NDArray[np.int64]) -> Judgement:
        """Return the student's answers to N images, computed in float32, like the results of the exported student."""
        predicted, confidence = [], []

        def features() -> Iterator[NDArray[np.float32]]:
            for pixels in self._evaluated(images):
                logits, found = (tensor.cpu().numpy() for tensor in self.learner.read(pixels))
                predicted.append(logits.argmax(axis=1))
                confidence.append(top_confidence(logits))
                yield found

        moments = class_moments(features(), labels, self.data.n_classes)
        return Judgement(np.concatenate(predicted), np.concatenate(confidence), moments)

    def _evaluated(self, images: Images) -> Iterator[Tensor]:
        """Set the student to evaluation; return the normalised pixels of `images` in batches."""
        self.student.eval()
        batches = evaluation_batches(
            images, image_shape=self.data.image_shape, device=self.device, workers=self._decoders
        )
        return (self.batches.images.normalise(pixels) for pixels in batches)

    def save(self, folder: Path) -> None:
        """Write a checkpoint that `restore` continues from. A kill meanwhile leaves the older one whole."""
        state = CheckpointState(
            epoch=self.epoch,
            config=self.config.flat(),
            data=_fingerprint(self.data),
            records=[record.to_dict() for record in self._records],
            versions=library_versions(),
        )
        write_checkpoint(folder, state, self.learner.tensors())

    def restore(self, folder: Path) -> None:
        """Continue from a checkpoint of the same configuration and data.

        Raises:
            CheckpointError: the checkpoint is absent or damaged.
            ConfigError: it belongs to another configuration or other data.
        """
        state, tensors = read_checkpoint(folder)
        faults = state.differences(self.config.flat(), _fingerprint(self.data))
        if faults:
            raise ConfigError([f"checkpoint {folder} belongs to another trial: {fault}" for fault in faults])
        self._records = [EpochRecord.from_dict(record) for record in state.records]
        self.learner.load_tensors(tensors)


def _require_finite(losses: NDArray[np.float64], terms: tuple[str, ...], epoch: int) -> None:
    # The first bad step is the cause. In it the first bad term is reported, before the total that it spoils.
    bad = ~np.isfinite(losses)
    if bad.any():
        step = int(bad.any(axis=1).argmax())
        term = int(bad[step].argmax())
        raise NonFiniteLossError(terms[term], float(losses[step, term]), epoch, step)


def _fingerprint(data: TrialData) -> dict[str, Any]:
    return {
        "name": data.name,
        "image_shape": list(data.image_shape),
        "counts": data.counts.tolist(),
        "n_views": data.n_views,
    }
