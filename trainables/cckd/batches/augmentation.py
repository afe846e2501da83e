"""Augmentation that only the student sees, on top of the view that it shares with the teacher.

Every image of every step has choices of its own. They are drawn on the host from (seed, epoch), and equal choices are
applied to all their images at once. The teacher's cached outputs stay those of the shared view.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.cckd.random_streams import generator

#: Largest side, pixels, of images that get the AutoAugment policies found on CIFAR-10; larger ones get ImageNet's.
_SMALL_IMAGE = 64


class Augmentation(ABC):
    """One kind of augmentation for images of one size."""

    def draw(self, shape: tuple[int, int], n_plain: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
        """Draw the choices of an epoch of S steps with K images, int64 (S, K, n).

        The first `n_plain` images of a step are D's. They have a stream for themselves, so that at one seed they are
        altered alike beside any D_mix.
        """
        n_steps, n_images = shape
        parts = {"augment": n_plain, "augment_mixed": n_images - n_plain}
        drawn = [self._drawn((n_steps, n), generator(seed, stream, epoch)) for stream, n in parts.items()]
        return np.concatenate(drawn, axis=1)

    @abstractmethod
    def _drawn(self, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]: ...

    @abstractmethod
    def apply(self, pixels: Tensor, choices: NDArray[np.int64]) -> None:
        """Change images in place.

        Args:
            pixels: float32 (S, K, Ch, H, W), whole numbers in [0, 255].
            choices: int64 (S, K, n), rows of `draw`.
        """


class Cutout(Augmentation):
    """A square of half the side around a uniform centre, clipped at the border, is filled (arXiv 1708.04552)."""

    def __init__(self, height: int, width: int, fill: Tensor) -> None:
        """Prepare for images of `height` x `width`; `fill` (Ch,) is the training mean, which normalises to zero."""
        self._sides, self._fill = (height, width), fill.view(-1, 1, 1)

    def _drawn(self, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]:
        return np.stack([rng.integers(side, size=shape) for side in self._sides], axis=-1)

    def apply(self, pixels: Tensor, choices: NDArray[np.int64]) -> None:
        """As in `Augmentation`; a choice is the row and the column of the centre."""
        centres = torch.from_numpy(choices).to(pixels.device)
        rows, columns = (self._inside(centres[..., axis], side, pixels.device) for axis, side in enumerate(self._sides))
        hole = (rows[..., :, None] & columns[..., None, :])[..., None, :, :]
        torch.where(hole, self._fill, pixels, out=pixels)

    def _inside(self, centre: Tensor, side: int, device: torch.device) -> Tensor:
        place, half = torch.arange(side, device=device), min(self._sides) // 4
        return (place >= centre[..., None] - half) & (place < centre[..., None] + half)


class Operations(Augmentation):
    """Two operations in a row: of an AutoAugment sub-policy (arXiv 1805.09501) or of RandAugment (arXiv 1909.13719)."""

    def __init__(self, kind: str, height: int, width: int) -> None:
        """Prepare `kind`, 'autoaugment' or 'randaugment', for images of `height` x `width`."""
        # torchvision takes seconds to import; trials without these operations do not wait for it.
        from trainables.cckd.batches import torchvision_private as torchvision

        self._apply = torchvision.apply_operation
        if kind == "autoaugment":
            small = max(height, width) <= _SMALL_IMAGE
            policies = torchvision.sub_policies(small_images=small, height=height, width=width)
        else:
            found = torchvision.rand_operations(height=height, width=width)
            policies = [((first, 1.0), (second, 1.0)) for first in found for second in found]
        steps = [step for policy in policies for step in policy]
        self._table = list(dict.fromkeys((name, value) for (name, values), _ in steps for value in values))
        codes = {step: code for code, step in enumerate(self._table)}
        # Per sub-policy and place: the codes of both signs, twice the same where an operation has none.
        signed = [
            [[(name, value) for value in (values * 2)[:2]] for (name, values), _ in policy] for policy in policies
        ]
        self._codes = np.array([[[codes[step] for step in both] for both in policy] for policy in signed])
        self._probabilities = np.array([[probability for _, probability in policy] for policy in policies])

    def _drawn(self, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]:
        policy = rng.integers(len(self._codes), size=shape)
        happens = rng.random((*shape, 2)) < self._probabilities[policy]
        sign = rng.integers(2, size=(*shape, 2, 1))
        codes = np.take_along_axis(self._codes[policy], sign, axis=-1)[..., 0]
        return np.where(happens, codes, -1)

    def apply(self, pixels: Tensor, choices: NDArray[np.int64]) -> None:
        """As in `Augmentation`; a choice is two indices into the table of operations, -1 where none happens."""
        images = pixels.flatten(0, 1)
        for codes in choices.reshape(-1, 2).T:
            for code in np.unique(codes[codes >= 0]).tolist():
                name, magnitude = self._table[code]
                chosen = torch.from_numpy(np.flatnonzero(codes == code)).to(pixels.device)
                changed = self._apply(name, magnitude, images[chosen].to(torch.uint8))
                images[chosen] = changed.to(images.dtype)


def augmentation(kind: str, image_shape: tuple[int, int, int], fill: Tensor) -> Augmentation | None:
    """Return the student's augmentation of this kind, None where there is none.

    Args:
        kind: of `TrialConfig.augment`.
        image_shape: (Ch, H, W).
        fill: the training mean in [0, 255], (Ch,), on the device of the images.
    """
    _, height, width = image_shape
    if kind == "none":
        return None
    return Cutout(height, width, fill) if kind == "cutout" else Operations(kind, height, width)
