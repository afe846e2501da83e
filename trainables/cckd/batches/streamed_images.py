"""Training images that are decoded step by step, ahead of their use, and the images of an evaluation."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.cckd.batches.resident_images import ResidentImages, TrainingImages
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.data.images.decoded_images import Images, ImageSource
from trainables.cckd.data.images.view_stream import ViewStream, stream_views
from trainables.cckd.tensors import resident

#: Pixels of one evaluation batch; on the CPU it has at most EVAL_BATCH images. The result depends on neither.
#: At 224 pixels a batch has 41 images, whose activations stay well below those of a training step. More than 125 small
#: images do not fit in a processor's cache and take longer.
EVAL_PIXELS = 2**21
EVAL_BATCH = 125


class StreamedImages(TrainingImages):
    """Training images of any size, in files or in memory; worker processes read them as crops."""

    def __init__(
        self,
        source: ImageSource,
        *,
        size: int,
        pixel_mean: NDArray[np.float64],
        pixel_std: NDArray[np.float64],
        device: torch.device,
        workers: int,
    ) -> None:
        """Prepare to stream `source` as views of `size` x `size` pixels; `workers` as for `ViewStream`."""
        super().__init__(pixel_mean=pixel_mean, pixel_std=pixel_std, device=device)
        self._stream = ViewStream(source, size, workers)
        self._device = device

    def blocks(self, members: NDArray[np.int64], views: NDArray[np.int16], most: int) -> Iterator[Tensor]:
        """As in `TrainingImages`, in blocks of one step: larger blocks would only delay the first step.

        Raises:
            DamagedImageError: a file that has become unreadable.
        """
        for pixels in self._stream.batches(members, views, pinned=self._device.type == "cuda"):
            yield pixels.to(self._device, non_blocking=True).float()[None]


def training_images(data: TrialData, *, device: torch.device, workers: int) -> TrainingImages:
    """Return the training images of a study: kept on the device where they are an array, else streamed.

    Args:
        data: the study's data.
        device: where batches are made.
        workers: processes that decode ahead.
    """
    images = data.train_images
    if isinstance(images, np.ndarray):
        return ResidentImages(
            images,
            data.views,
            pixel_mean=data.pixel_mean,
            pixel_std=data.pixel_std,
            device=device,
            padding=data.view_rule.padding,
        )
    return StreamedImages(
        images,
        size=data.image_shape[1],
        pixel_mean=data.pixel_mean,
        pixel_std=data.pixel_std,
        device=device,
        workers=workers,
    )


def evaluation_batches(
    images: Images, *, image_shape: tuple[int, int, int], device: torch.device, workers: int
) -> Iterator[Tensor]:
    """Yield all images in order as uint8 batches (B, Ch, H, W) on `device`; of a source, the evaluation views."""
    _, height, width = image_shape
    batch_size = max(1, EVAL_PIXELS // (height * width))
    if device.type == "cpu":
        batch_size = min(EVAL_BATCH, batch_size)
    if isinstance(images, np.ndarray):
        for start, end in pairwise([*range(0, len(images), batch_size), len(images)]):
            yield resident(images[start:end], device)
        return
    for pixels in stream_views(images, None, size=height, batch_size=batch_size, workers=workers):
        yield pixels.to(device)
