"""What each step of an epoch sees: views of D, mixed samples of D_mix, and the teacher's targets for both.

All random choices of an epoch are drawn on the host before its first step and uploaded once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.cckd.augment import resident, view_of_epoch
from trainables.cckd.bundle import TeacherState, TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import ConfigError
from trainables.cckd.mixing import draw_pairs, mix_images, mix_rows
from trainables.cckd.objective import Objective, Targets
from trainables.cckd.streamed import training_images
from trainables.cckd.streams import generator
from trainables.cckd.targets import MappedFeatures, ResidentTopK, resident_features, resident_logits

#: Builds a module: images (N, Ch, H, W) in [0, 255] to the teacher's logits (N, C) and features (N, D).
TeacherFactory = Callable[[TeacherState], nn.Module]


@dataclass(frozen=True, eq=False)
class StepBatch:
    """One step: `images`, normalised (B + M, Ch, H, W), D first; `mixed` is None where there is no D_mix."""

    images: Tensor
    plain: Targets
    mixed: Targets | None


class Batches:
    """The batches of every epoch of one trial, on one device."""

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
            teacher_factory: what `forward` targets build the teacher with; the study's own where None.

        Raises:
            ConfigError: fewer training images than one batch.
        """
        if len(data.train_labels) < config.batch_size:
            n_train = len(data.train_labels)
            raise ConfigError(f"batch_size must be at most the {n_train} training images; got {config.batch_size}")
        self.n_steps = len(data.train_labels) // config.batch_size
        self.images = training_images(
            data, batch_size=config.batch_size + 2 * objective.n_mixed, device=device, workers=workers
        )
        self._config, self._objective, self._device = config, objective, device
        self._data = data
        self._labels = resident(data.train_labels, device)
        forward = config.mix_targets == "forward" and objective.n_mixed > 0
        wants_teacher = objective.needs_mixed_logits or objective.needs_features
        self._teacher = _build_teacher(data, teacher_factory, device) if forward and wants_teacher else None
        needs_logits = objective.needs_logits or objective.needs_mixed_logits
        self._logits = resident_logits(data, device) if needs_logits else None
        self._features = resident_features(data, device) if objective.needs_features else None

    def epoch(self, epoch: int) -> Iterator[StepBatch]:
        """Yield the `n_steps` batches of `epoch`, counted from 1; the samples left over are dropped."""
        config, n_mixed = self._config, self._objective.n_mixed
        n_train = len(self._labels)
        order = generator(config.seed, "order", epoch).permutation(n_train)
        members = order[: self.n_steps * config.batch_size].reshape(self.n_steps, -1)
        pairs = None
        if n_mixed > 0:
            pairs = draw_pairs(
                self._data.train_labels,
                self.n_steps,
                n_mixed,
                alpha=config.mix_alpha,
                op=config.mix_op,
                image_size=self._data.image_shape[1:],
                seed=config.seed,
                epoch=epoch,
            )
            members = np.concatenate([members, pairs.first, pairs.second], axis=1)
        which = view_of_epoch(config.seed, epoch, n_train, self._data.n_views)[members]
        steps = zip(
            self.images.steps(members, self._data.views[members, which]),
            self._upload(members),
            self._upload(which),
            strict=True,
        )
        if pairs is None:
            for pixels, indices, view in steps:
                yield StepBatch(self.images.normalise(pixels), self._plain_targets(indices, view), mixed=None)
            return
        shares = self._upload(pairs.share)
        boxes = None if pairs.boxes is None else self._upload(pairs.boxes)
        for step, (pixels, indices, view) in enumerate(steps):
            box = None if boxes is None else boxes[step]
            yield self._mixed_batch(pixels, indices, view, shares[step], box)

    def _mixed_batch(
        self, step_pixels: Tensor, indices: Tensor, view: Tensor, share: Tensor, box: Tensor | None
    ) -> StepBatch:
        # A step holds the B samples of D, then the M firsts and the M seconds of the pairs.
        n_mixed = len(share)
        sizes = [len(indices) - 2 * n_mixed, n_mixed, n_mixed]
        plain_pixels, *pair_pixels = step_pixels.split(sizes)
        plain_indices, *pair_indices = indices.split(sizes)
        plain_view, *pair_views = view.split(sizes)
        pixels = mix_images(pair_pixels[0], pair_pixels[1], share, box)

        labels = [F.one_hot(self._labels[index], self._data.n_classes).float() for index in pair_indices]
        logits = features = None
        if self._teacher is not None:
            with torch.no_grad():
                logits, features = self._teacher(pixels)
        else:
            if self._objective.needs_mixed_logits:
                logits = _mix_cached(self._logits, pair_indices, pair_views, share)
            if self._objective.needs_features:
                features = _mix_cached(self._features, pair_indices, pair_views, share)
        return StepBatch(
            self.images.normalise(torch.cat([plain_pixels, pixels])),
            self._plain_targets(plain_indices, plain_view),
            Targets(mix_rows(labels[0], labels[1], share), logits, features),
        )

    def _plain_targets(self, indices: Tensor, view: Tensor) -> Targets:
        logits = features = None
        if self._objective.needs_logits:
            logits = _cached(self._logits, indices, view)
        if self._objective.needs_features:
            features = _cached(self._features, indices, view)
        return Targets(self._labels[indices], logits, features)

    def _upload(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device, non_blocking=True)


#: Teacher outputs of every view, indexed like a tensor (N, V, ...).
_Outputs = Tensor | ResidentTopK | MappedFeatures


def _cached(outputs: _Outputs | None, indices: Tensor, view: Tensor) -> Tensor:
    assert outputs is not None
    return outputs[indices, view].float()


def _mix_cached(outputs: _Outputs | None, indices: list[Tensor], views: list[Tensor], share: Tensor) -> Tensor:
    first, second = (_cached(outputs, index, view) for index, view in zip(indices, views, strict=True))
    return mix_rows(first, second, share)


def _build_teacher(data: TrialData, factory: TeacherFactory | None, device: torch.device) -> nn.Module:
    if factory is None:
        # Loads a backbone; only trials with `forward` targets should wait for it.
        from trainables.cckd.teacher.forward import ForwardTeacher

        factory = ForwardTeacher
    return factory(data.teacher).to(device).eval()
