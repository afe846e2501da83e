"""Views that are decoded ahead of their use, in the order of the requests.

Memory is bounded by pixels: at most two batches are in preparation, and no more than the decoders have slots for. The
result does not depend on the number of processes that decode; processes, because on small files threads wait for the
interpreter lock.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.cckd.data.images.crops import centre_views
from trainables.cckd.data.images.decode import read_image, read_views
from trainables.cckd.data.images.decoded_images import ImageSource, RaggedImages, decoded_bytes
from trainables.cckd.data.images.decoders import SLOTS, Chunk, chunk_size, decoders
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.errors import DamagedImageError

_BATCHES_AHEAD = 2

#: Images that `pixel_moments` reads. The error of a mean over so many images is too small to matter.
_MOMENTS_SAMPLE = 2048
_MOMENTS_SIZE = 64

#: Side of the views by which `damaged_files` decodes whole files, pixels.
_THUMBNAIL = 8
#: Files that it has decoded at a time.
_CHECKED = 32


@dataclass(frozen=True, eq=False)
class _Batch:
    """A batch in preparation: its memory, and the chunks that fill it."""

    pixels: Tensor
    chunks: list[Chunk]


@dataclass(frozen=True)
class ViewStream:
    """Decodes the views of one source, batch after batch, in the decoders that all streams of this process share.

    Attributes:
        source: the images.
        size: side of the views, pixels.
        workers: processes that decode; 0 decodes in this process, on demand.
    """

    source: ImageSource
    size: int
    workers: int

    def batches(
        self,
        members: Sequence[NDArray[np.int64]] | NDArray[np.int64],
        views: Sequence[NDArray[np.int16]] | NDArray[np.int16],
        *,
        pinned: bool = False,
    ) -> Iterator[Tensor]:
        """Yield one batch for each row of requests: uint8 (K, 3, size, size), in memory channels last.

        Args:
            members: image indices, (K,) per batch.
            views: the view of each image, (K, 5) per batch.
            pinned: whether to use page-locked memory, which a GPU can read by itself.

        Raises:
            DamagedImageError: a file that has become unreadable.
            DataError: a process that decodes was ended from outside.
        """
        if not self.workers:
            for indices, boxes in zip(members, views, strict=True):
                batch = self._memory(len(indices), pinned=pinned)
                read_views(self.source, indices, boxes, self.size, out=batch.numpy())
                yield batch.permute(0, 3, 1, 2)
            return
        ahead: deque[_Batch] = deque()
        requests = zip(members, views, strict=True)
        try:
            while True:
                while len(ahead) <= _BATCHES_AHEAD and self._has_room(ahead) and (request := next(requests, None)):
                    ahead.append(self._asked(*request, pinned=pinned))
                if not ahead:
                    return
                for chunk in ahead[0].chunks:
                    decoders().wait_for(chunk)
                yield ahead.popleft().pixels.permute(0, 3, 1, 2)
        finally:
            decoders().forget([chunk for batch in ahead for chunk in batch.chunks])

    def _has_room(self, ahead: "deque[_Batch]") -> bool:
        """Whether another batch may be asked for: always while one is asked for, then while slots are free."""
        return len(ahead) < 2 or sum(len(batch.chunks) for batch in ahead) < SLOTS * self.workers

    def _asked(self, indices: NDArray[np.int64], boxes: NDArray[np.int16], *, pinned: bool) -> _Batch:
        batch = self._memory(len(indices), pinned=pinned)
        n, out = chunk_size(self.size), batch.numpy()
        parts = (slice(start, start + n) for start in range(0, len(indices), n))
        chunks = [Chunk(self.source, indices[part], boxes[part], out[part]) for part in parts]
        for chunk in chunks:
            decoders().ask(chunk, workers=self.workers)
        return _Batch(batch, chunks)

    def _memory(self, n_images: int, *, pinned: bool) -> Tensor:
        return torch.empty(n_images, self.size, self.size, 3, dtype=torch.uint8, pin_memory=pinned)


def stream_views(
    source: ImageSource, views: NDArray[np.int16] | None, *, size: int, batch_size: int, workers: int
) -> Iterator[Tensor]:
    """Yield one view of every image in order: uint8 batches (up to `batch_size`, 3, size, size).

    Args:
        source: N images.
        views: int16 (N, 5), or (N, V, 5) for all V views of the first image, then of the second, and so on; None for
            the evaluation views.
        size, workers: as for `ViewStream`.
        batch_size: images of a batch.
    """
    boxes = centre_views(source.sizes) if views is None else views
    n_views = 1 if boxes.ndim == 2 else boxes.shape[1]
    boxes = boxes.reshape(-1, boxes.shape[-1])
    members = np.arange(len(boxes)) // n_views
    cuts = range(batch_size, len(boxes), batch_size)
    stream = ViewStream(source, size, workers)
    yield from stream.batches(np.split(members, cuts), np.split(boxes, cuts))


def hold(source: ImageSource, *, workers: int) -> RaggedImages:
    """Decode every image once, in `workers` threads, and return all of them in memory.

    Raises:
        DamagedImageError: a file that cannot be decoded.
    """
    if isinstance(source, RaggedImages):
        return source
    areas = source.sizes.astype(np.int64).prod(axis=1)
    starts = np.concatenate([[0], 3 * areas.cumsum()[:-1]]).astype(np.int64)
    held = RaggedImages(np.empty(decoded_bytes(source.sizes), np.uint8), starts, source.sizes, source.labels)

    def fill(index: int) -> None:
        held.image(index)[...] = read_image(source, index)

    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(fill, range(len(source))):  # raises the error of any image
            pass
    return held


def damaged_files(files: ImageFiles, *, workers: int) -> dict[str, str]:
    """Decode every file once, in `workers` processes; return path -> what is wrong for each file that fails.

    A file that ends the process that decodes it is one of them.
    """
    boxes = np.zeros((len(files), 5), np.int16)
    boxes[:, 2:4] = 1
    found: dict[str, str] = {}
    left = np.arange(len(files))
    while len(left):
        cuts = range(_CHECKED, len(left), _CHECKED)
        stream = ViewStream(files, _THUMBNAIL, workers)
        n_read = 0
        try:
            for batch in stream.batches(np.split(left, cuts), np.split(boxes[left], cuts)):
                n_read += len(batch)
            return found
        except DamagedImageError as error:
            found[error.path] = error.what
            at = next(k for k in left[n_read:].tolist() if str(files.root / files.paths[k]) == error.path)
            left = left[n_read:][left[n_read:] != at]
    return found


def pixel_moments(source: ImageSource, *, workers: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and deviation of each colour, (3,), as fractions 0-1, over the evaluation views of a sample."""
    spread = np.unique(np.linspace(0, len(source) - 1, _MOMENTS_SAMPLE).astype(np.int64))
    total, squares, n_pixels = np.zeros(3), np.zeros(3), 0
    for batch in stream_views(source.take(spread), None, size=_MOMENTS_SIZE, batch_size=256, workers=workers):
        pixels = batch.double() / 255
        total += pixels.sum(dim=(0, 2, 3)).numpy()
        squares += pixels.square().sum(dim=(0, 2, 3)).numpy()
        n_pixels += len(batch) * _MOMENTS_SIZE**2
    mean = total / n_pixels
    return mean, np.sqrt(squares / n_pixels - mean**2)
