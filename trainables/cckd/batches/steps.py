"""What each step of an epoch sees: views of D, mixed samples of D_mix, and the teacher's targets for both.

All random choices of an epoch are drawn on the host before its first step and uploaded once. Everything else is
computed for a block of steps at a time, because on small images the number of operations decides the time. There is
one exception: on the CPU the teacher's features are gathered step by step, so that they are still in the processor's
cache when they are compared.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.cckd.batches.augmentation import augmentation
from trainables.cckd.batches.epoch_draws import EpochDraws, draw_epoch
from trainables.cckd.batches.mixing import mix_images, mix_rows
from trainables.cckd.batches.streamed_images import training_images
from trainables.cckd.batches.teacher_targets import FormedLogits, gather, resident_features, resident_logits
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import ConfigError
from trainables.cckd.losses.objective import Objective
from trainables.cckd.losses.targets import PreparedTargets, Targets
from trainables.cckd.teacher.readout import TeacherState
from trainables.cckd.tensors import resident

#: Builds a module that maps images (N, Ch, H, W) in [0, 255] to the teacher's logits (N, C) and features (N, D).
TeacherFactory = Callable[[TeacherState], nn.Module]

#: Bytes that a block of steps may take; pixels and logits count once per copy, and a single step may take more. On a
#: CPU a block fits in the processor's cache. On a GPU larger blocks are faster, because they need fewer launches.
BLOCK_BYTES = {"cpu": 2**22, "cuda": 2**28}


@dataclass(frozen=True, eq=False)
class StepBatch:
    """The input of one step.

    Attributes:
        images: normalised (B + M, Ch, H, W), D first.
        plain, mixed: targets of D and D_mix; `mixed` is None where there is no D_mix.
        prepared: both in the form the losses compute with; None where that is left to the objective.
    """

    images: Tensor
    plain: Targets
    mixed: Targets | None
    prepared: PreparedTargets | None = None


@dataclass(frozen=True, eq=False)
class _Block:
    """The raw content of a block of S steps: per step B samples of D, then the first and second members of M pairs.

    Attributes:
        pixels: float32 (S, B + 2M, Ch, H, W) in [0, 255], as the student sees them; may be written to.
        samples: image indices, int64 (S, B + 2M).
        rows: rows of the teacher's outputs, image V + view, int64 (S, B + 2M); None where nothing reads them.
        share, boxes: of the pairs, (S, M) and (S, M, 4) as in `Pairs`; None without pairs.
        shared: the pixels without the student's augmentation, where the teacher is asked about their mixtures; None
            where they are `pixels` or nothing needs them.
    """

    pixels: Tensor
    samples: Tensor
    rows: Tensor | None
    share: Tensor | None
    boxes: Tensor | None
    shared: Tensor | None = None


class Batches:
    """The batches of every epoch of one trial, on one device.

    Attributes:
        n_steps: steps of an epoch.
        images: the source of the pixels.
        steps_a_block: largest number of steps that are prepared at a time.
    """

    def __init__(
        self,
        config: TrialConfig,
        data: TrialData,
        objective: Objective,
        *,
        device: torch.device,
        workers: int = 1,
        teacher_factory: TeacherFactory | None = None,
    ) -> None:
        """Upload images (or prepare to stream them) and the teacher outputs that `objective` reads.

        Args:
            config: batch size, mixing and seed.
            data: the study's data.
            objective: decides which targets are gathered.
            device: where batches are made.
            workers: processes that decode ahead, where images are streamed.
            teacher_factory: builds the teacher of `forward` targets; None for the study's own.

        Raises:
            ConfigError: the training set is smaller than one batch.
        """
        if len(data.train_labels) < config.batch_size:
            n_train = len(data.train_labels)
            raise ConfigError(f"batch_size must be at most the {n_train} training images; got {config.batch_size}")
        self.n_steps = len(data.train_labels) // config.batch_size
        n_seen = config.batch_size + 2 * objective.n_mixed
        self.images = training_images(data, device=device, workers=workers)
        self._config, self._objective, self._device = config, objective, device
        self._data = data
        self._prepared: tuple[int, EpochDraws] | None = None
        self._sizes = [config.batch_size, objective.n_mixed, objective.n_mixed]
        self._labels = resident(data.train_labels, device)
        forward = config.mix_targets == "forward" and objective.n_mixed > 0
        wants_teacher = objective.needs_mixed_logits or objective.needs_features
        self._teacher = _build_teacher(data, teacher_factory, device) if forward and wants_teacher else None
        fill = torch.tensor(255.0 * data.pixel_mean, dtype=torch.float32, device=device)
        self._augmentation = augmentation(config.augment, data.image_shape, fill)
        # Where nothing of the teacher is read, no view has to be one that the teacher has seen.
        self._fresh = not objective.needs_teacher
        needs_logits = objective.needs_logits or objective.needs_mixed_logits
        features = resident_features(data, device) if objective.needs_teacher else None
        self._logits = resident_logits(data, features, device) if needs_logits and features is not None else None
        self._features = features if objective.needs_features else None
        of_a_block = isinstance(self._logits, FormedLogits) or (objective.needs_features and device.type == "cuda")
        n_features = data.teacher_features.shape[2] if of_a_block else 0
        bytes_a_step = 8 * n_seen * (prod(data.image_shape) + 2 * data.n_classes + n_features)
        self.steps_a_block = max(1, BLOCK_BYTES[device.type] // bytes_a_step)

    def serve(self, objective: Objective) -> None:
        """Make the batches of the epochs to come for another objective, which reads no more than the first one."""
        self._objective, self._prepared = objective, None
        self._sizes = [self._config.batch_size, objective.n_mixed, objective.n_mixed]

    def prepare(self, epoch: int) -> None:
        """Draw the choices of `epoch` ahead of time; the host is idle while a GPU works."""
        self._prepared = epoch, self._choices(epoch)

    def epoch(self, epoch: int) -> Iterator[StepBatch]:
        """Yield the `n_steps` batches of `epoch`, counted from 1; left-over samples are dropped."""
        asks = self._teacher is not None and self._objective.n_mixed > 0
        for block in self._blocks(epoch):
            yield from self._forward_steps(block) if asks else self._steps(block)

    def _blocks(self, epoch: int) -> Iterator[_Block]:
        choices = self._choices(epoch)
        samples = self._upload(choices.samples)
        rows = None if choices.rows is None else self._upload(choices.rows)
        share = None if choices.share is None else self._upload(choices.share)
        boxes = None if choices.boxes is None else self._upload(choices.boxes)
        altered = None
        if self._augmentation is not None:
            altered = self._augmentation.draw(
                choices.samples.shape, self._config.batch_size, seed=self._config.seed, epoch=epoch
            )
        start = 0
        for pixels in self.images.blocks(choices.samples, choices.views, most=self.steps_a_block):
            steps = slice(start, start + len(pixels))
            start = steps.stop
            shared = pixels.clone() if altered is not None and self._teacher is not None else None
            if self._augmentation is not None and altered is not None:
                self._augmentation.apply(pixels, altered[steps])
            yield _Block(
                pixels,
                samples[steps],
                None if rows is None else rows[steps],
                None if share is None else share[steps],
                None if boxes is None else boxes[steps],
                shared,
            )

    def _choices(self, epoch: int) -> EpochDraws:
        if self._prepared is not None and self._prepared[0] == epoch:
            return self._prepared[1]
        return draw_epoch(self._config, self._data, self._objective.n_mixed, epoch, fresh=self._fresh)

    def _steps(self, block: _Block) -> Iterator[StepBatch]:
        """Yield the steps of a block; the targets of D_mix are mixed from the targets of the pairs."""
        images = self.images.normalise(self._mix_pixels(block.pixels, block))
        plain, mixed = self._targets(block)
        prepared = self._objective.prepare(plain, mixed)
        if self._features is not None and self._device.type == "cuda":
            prepared = prepared.with_features(self._mix_features(_cached(block.rows), block.share))
        n_plain = self._config.batch_size
        of_mixed = [None] * len(images) if mixed is None else mixed.steps()
        steps = zip(images.unbind(), plain.steps(), of_mixed, prepared.steps(), strict=True)
        for step, (pixels, ours, theirs, ready) in enumerate(steps):
            if self._features is None:
                yield StepBatch(pixels, ours, theirs, ready)
                continue
            if ready.features is None:
                share = None if block.share is None else block.share[step]
                ready = ready.with_features(self._mix_features(_cached(block.rows)[step], share))
            features = ready.features
            assert features is not None
            if theirs is not None:
                theirs = replace(theirs, features=features[n_plain:])
            yield StepBatch(pixels, replace(ours, features=features[:n_plain]), theirs, ready)

    def _forward_steps(self, block: _Block) -> Iterator[StepBatch]:
        """Yield the steps of a block; the teacher itself computes the targets of D_mix from the mixed images."""
        assert self._teacher is not None
        mixed_pixels = self._mix_pixels(block.pixels, block)
        images = self.images.normalise(mixed_pixels)
        asked = mixed_pixels if block.shared is None else self._mix_pixels(block.shared, block)
        plain, mixed = self._targets(block)
        assert mixed is not None
        n_plain = self._config.batch_size
        for step, (pixels, ours, theirs) in enumerate(zip(images, plain.steps(), mixed.steps(), strict=True)):
            with torch.no_grad():
                logits, features = self._teacher(asked[step, n_plain:])
            if self._features is not None:
                ours = replace(ours, features=self._mix_features(_cached(block.rows)[step, :n_plain], None))
            yield StepBatch(pixels, ours, Targets(theirs.labels, logits, features))

    def _mix_pixels(self, pixels: Tensor, block: _Block) -> Tensor:
        """Return D and D_mix of a block's pixels as (S, B + M, Ch, H, W) in [0, 255], in their own memory."""
        if block.share is None:
            return pixels
        _, first, second = pixels.split(self._sizes, dim=1)
        mix_images(first, second, block.share, block.boxes, out=first)
        return pixels[:, : -self._objective.n_mixed]

    def _targets(self, block: _Block) -> tuple[Targets, Targets | None]:
        """Return the targets of D and D_mix for S steps, without features; logits only for the sets that need them."""
        if block.share is None:
            return Targets(self._labels[block.samples], self._cached_logits(block)), None
        plain, *pairs = self._labels[block.samples].split(self._sizes, dim=1)
        first, second = (F.one_hot(labels, self._data.n_classes).float() for labels in pairs)
        labels = mix_rows(first, second, block.share)
        found = self._cached_logits(block)
        if found is None:
            return Targets(plain), Targets(labels)
        logits, first, second = found.split(self._sizes, dim=1)
        return (
            Targets(plain, logits if self._objective.needs_logits else None),
            Targets(labels, mix_rows(first, second, block.share) if self._objective.needs_mixed_logits else None),
        )

    def _cached_logits(self, block: _Block) -> Tensor | None:
        """Return the teacher's logits on the block's views, (S, B + 2M, C); None where no term reads them."""
        return None if self._logits is None else gather(self._logits, _cached(block.rows))

    def _mix_features(self, rows: Tensor, share: Tensor | None) -> Tensor:
        """Return the teacher's features on D and D_mix, (..., B + M, D), of one step or of several."""
        assert self._features is not None
        features = gather(self._features, rows)
        if share is None:
            return features
        _, first, second = features.split(self._sizes, dim=-2)
        mix_rows(first, second, share, out=first)
        return features[..., : -self._objective.n_mixed, :]

    def _upload(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self._device, non_blocking=True)


def _cached(rows: Tensor | None) -> Tensor:
    assert rows is not None, "the teacher has not seen fresh views"
    return rows


def _build_teacher(data: TrialData, factory: TeacherFactory | None, device: torch.device) -> nn.Module:
    if factory is None:
        # This import loads timm; only trials with `forward` targets should wait for it.
        from trainables.cckd.teacher.forward import ForwardTeacher

        factory = ForwardTeacher
    return factory(data.teacher).to(device).eval()
