"""Training images kept on the device as bytes, and the augmented view of each that an epoch uses.

The views of several steps are one gather by advanced indexing. Student and teacher see the same recorded view of a
sample. Images of other sets are streamed (see streamed.py) behind the same two methods.
"""

import warnings
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


class TrainingImages(ABC):
    """Where the pixels of a step come from, and what a network is given of them."""

    def __init__(
        self, *, pixel_mean: NDArray[np.float64], pixel_std: NDArray[np.float64], device: torch.device
    ) -> None:
        self._mean = torch.tensor(255.0 * pixel_mean, dtype=torch.float32, device=device).view(1, -1, 1, 1)
        self._scale = torch.tensor(1.0 / (255.0 * pixel_std), dtype=torch.float32, device=device).view(1, -1, 1, 1)

    @abstractmethod
    def blocks(self, members: NDArray[np.int64], views: NDArray[np.int16], most: int) -> Iterator[Tensor]:
        """Yield the views of an epoch's S steps, step after step in blocks of at least one.

        Args:
            members: which images, (S, K).
            views: the view of each, (S, K, 5) as in `TrialData.views`.
            most: steps of a block, at most.

        Returns:
            Blocks float32 (steps, K, Ch, H, W) in [0, 255], every step of it channels_last.
        """

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return (pixels / 255 - mean) / std for pixels (..., Ch, H, W) in [0, 255]."""
        return (pixels.float() - self._mean).mul_(self._scale)


class ResidentImages(TrainingImages):
    """All training images on one device, zero-padded by as much as any view reaches outside."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        views: NDArray[np.int16],
        *,
        pixel_mean: NDArray[np.float64],
        pixel_std: NDArray[np.float64],
        device: torch.device,
    ) -> None:
        """Upload `images` (N, Ch, H, W), ready for the windows in `views` (N, V, 5).

        Raises:
            DataError: a view that is not as large as the image.
        """
        super().__init__(pixel_mean=pixel_mean, pixel_std=pixel_std, device=device)
        _, _, height, width = images.shape
        self._device = device
        self._padding = _reach(views, height, width)
        padded = F.pad(resident(images, device), [self._padding] * 4)
        # Pixels beside their channels: a gathered batch is then channels_last without a copy. The windows,
        # (N, tops, lefts, H, W, Ch), overlap in one memory: a view of a sample is one index, not one a pixel.
        pixels = padded.permute(0, 2, 3, 1).contiguous()
        self._windows = pixels.unfold(1, height, 1).unfold(2, width, 1).permute(0, 1, 2, 4, 5, 3)

    def blocks(self, members: NDArray[np.int64], views: NDArray[np.int16], most: int) -> Iterator[Tensor]:
        """As in `TrainingImages`: an upload an epoch, then a gather a block of `most` steps."""
        uploaded = torch.from_numpy(members).to(self._device, non_blocking=True).split(most)
        windows = torch.from_numpy(views).to(self._device, non_blocking=True).split(most)
        for indices, window in zip(uploaded, windows, strict=True):
            yield self.pixels(indices.flatten(), window.flatten(0, 1)).unflatten(0, indices.shape)

    def pixels(self, indices: Tensor, views: Tensor) -> Tensor:
        """Return the views as float32 (B, Ch, H, W) in [0, 255], channels_last.

        Args:
            indices: which images, int64 (B,).
            views: the window of each, integer (B, 5) as in `TrialData.views`.
        """
        top, left, _, _, flip = views.long().unbind(dim=1)
        window = self._windows[indices, self._padding + top, self._padding + left]
        window = torch.where(flip.bool().view(-1, 1, 1, 1), window.flip(2), window)
        return window.permute(0, 3, 1, 2).float()


def view_of_epoch(seed: int, epoch: int, n_images: int, n_views: int) -> NDArray[np.int64]:
    """Return the view each image uses in `epoch` (counted from 1), int64 (N,), in 0..V-1.

    Each image goes through all V views in its own order before any repeats. One view shared by a whole epoch
    is a trap: BatchNorm's running statistics follow the last epochs' views, 7 to 12 points lost on digits.
    """
    block, within = divmod(epoch - 1, n_views)
    return _view_orders(seed, block, n_images, n_views)[within]


def resident(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """Return `array` as a tensor on `device`; on the CPU it is lent, not copied, so it must only be read."""
    with warnings.catch_warnings():
        # torch has no read-only tensors and warns about read-only arrays; Ray's object store lends such.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)


@lru_cache(maxsize=1)
def _view_orders(seed: int, block: int, n_images: int, n_views: int) -> NDArray[np.int64]:
    # (V, N): drawn in the first of V epochs, and kept for the others.
    orders = generator(seed, "views", block).random((n_images, n_views)).argsort(axis=1, kind="stable").T
    orders.flags.writeable = False
    return orders


def _reach(views: NDArray[np.int16], height: int, width: int) -> int:
    sizes = np.unique(views[..., 2:4].reshape(-1, 2), axis=0)
    if any(tuple(size) != (height, width) for size in sizes.tolist()):
        found = ", ".join(f"{h}x{w}" for h, w in sizes.tolist())
        raise DataError(f"views must be as large as the image ({height}x{width} pixels); got {found}")
    return int(np.abs(views[..., :2].astype(np.int64)).max(initial=0))
