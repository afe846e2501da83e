"""Training images kept on the device as bytes, and the cached view of each that an epoch uses.

One gather by advanced indexing reads the views of several steps. Student and teacher see the same stored view of a
sample. Images of other sets are streamed through the same interface (streamed_images.py).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from trainables.cckd.errors import DataError
from trainables.cckd.random_streams import generator
from trainables.cckd.tensors import resident


class TrainingImages(ABC):
    """The source of a step's pixels, and their normalisation for a network."""

    def __init__(
        self, *, pixel_mean: NDArray[np.float64], pixel_std: NDArray[np.float64], device: torch.device
    ) -> None:
        self._mean = torch.tensor(255.0 * pixel_mean, dtype=torch.float32, device=device).view(1, -1, 1, 1)
        self._scale = torch.tensor(1.0 / (255.0 * pixel_std), dtype=torch.float32, device=device).view(1, -1, 1, 1)

    @abstractmethod
    def blocks(self, members: NDArray[np.int64], views: NDArray[np.int16], most: int) -> Iterator[Tensor]:
        """Yield the views of an epoch's S steps, step after step in blocks of at least one.

        Args:
            members: image indices, (S, K).
            views: the view of each image, (S, K, 5) as in `TrialData.views`.
            most: largest number of steps in a block.

        Returns:
            Blocks float32 (steps, K, Ch, H, W) in [0, 255]; every step of a block is channels_last.
        """

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return (pixels / 255 - mean) / std for pixels (..., Ch, H, W) in [0, 255]."""
        return (pixels.float() - self._mean).mul_(self._scale)


class ResidentImages(TrainingImages):
    """All training images on one device, zero-padded as far as any view reaches outside."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        views: NDArray[np.int16],
        *,
        pixel_mean: NDArray[np.float64],
        pixel_std: NDArray[np.float64],
        device: torch.device,
        padding: int = 0,
    ) -> None:
        """Upload `images` (N, Ch, H, W), ready for the windows in `views` (N, V, 5) and for shifts up to `padding`.

        Raises:
            DataError: a view whose size is not the image's.
        """
        super().__init__(pixel_mean=pixel_mean, pixel_std=pixel_std, device=device)
        _, _, height, width = images.shape
        self._device = device
        self._padding = max(padding, _reach(views, height, width))
        padded = F.pad(resident(images, device), [self._padding] * 4)
        # The channels of a pixel lie side by side, so a gathered batch is channels_last without a copy. The windows,
        # (N, tops, lefts, H, W, Ch), overlap in one memory: a view of a sample is one index, not one index per pixel.
        pixels = padded.permute(0, 2, 3, 1).contiguous()
        self._windows = pixels.unfold(1, height, 1).unfold(2, width, 1).permute(0, 1, 2, 4, 5, 3)

    def blocks(self, members: NDArray[np.int64], views: NDArray[np.int16], most: int) -> Iterator[Tensor]:
        """As in `TrainingImages`: one upload per epoch, then one gather per block of `most` steps."""
        uploaded = torch.from_numpy(members).to(self._device, non_blocking=True).split(most)
        windows = torch.from_numpy(views).to(self._device, non_blocking=True).split(most)
        for indices, window in zip(uploaded, windows, strict=True):
            yield self.pixels(indices.flatten(), window.flatten(0, 1)).unflatten(0, indices.shape)

    def pixels(self, indices: Tensor, views: Tensor) -> Tensor:
        """Return the views as float32 (B, Ch, H, W) in [0, 255], channels_last.

        Args:
            indices: image indices, int64 (B,).
            views: the window of each image, integer (B, 5) as in `TrialData.views`.
        """
        top, left, _, _, flip = views.long().unbind(dim=1)
        window = self._windows[indices, self._padding + top, self._padding + left]
        window = torch.where(flip.bool().view(-1, 1, 1, 1), window.flip(2), window)
        return window.permute(0, 3, 1, 2).float()


def view_of_epoch(seed: int, epoch: int, n_images: int, n_views: int) -> NDArray[np.int64]:
    """Return the view each image uses in `epoch` (counted from 1), int64 (N,), in 0..V-1.

    Each image goes through all V views in its own order before one repeats. One view for a whole epoch is a trap:
    BatchNorm's running statistics then follow the views of the last epochs, which cost 7 to 12 points on digits.
    """
    block, within = divmod(epoch - 1, n_views)
    return _view_orders(seed, block, n_images, n_views)[within]


@lru_cache(maxsize=8)
def _view_orders(seed: int, block: int, n_images: int, n_views: int) -> NDArray[np.int64]:
    # (V, N): drawn in the first of V epochs, and kept for the other V - 1, for each of the trials of a process.
    orders = generator(seed, "views", block).random((n_images, n_views)).argsort(axis=1, kind="stable").T
    orders.flags.writeable = False
    return orders


def _reach(views: NDArray[np.int16], height: int, width: int) -> int:
    sizes = np.unique(views[..., 2:4].reshape(-1, 2), axis=0)
    if any(tuple(size) != (height, width) for size in sizes.tolist()):
        found = ", ".join(f"{h}x{w}" for h, w in sizes.tolist())
        raise DataError(f"views must be as large as the image ({height}x{width} pixels); got {found}")
    return int(np.abs(views[..., :2].astype(np.int64)).max(initial=0))
