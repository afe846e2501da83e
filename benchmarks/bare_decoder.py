"""The bare decoder that streaming is held against: what any loader must do for a view, and nothing else.

torchvision reads a file and decodes it, and its v2 transforms cut out the box, resize it and flip it, in as many worker
processes, which hand nothing on.
"""

import multiprocessing
from collections.abc import Sequence

import numpy as np
import torch
from torchvision.io import ImageReadMode, decode_image, read_file
from torchvision.transforms.v2.functional import horizontal_flip, resized_crop

from trainables.cckd.data.images.image_files import ImageFiles


class BareDecoder:
    """Worker processes for one set; they end with the `with` block.

    Args:
        files: the set.
        views: one view of each image, int16 (N, 5).
        size: side of the views, pixels.
        workers: processes.
    """

    def __init__(self, files: ImageFiles, views: np.ndarray, size: int, workers: int) -> None:
        self._pool = multiprocessing.get_context("fork").Pool(workers, _adopt, (files, views, size))

    def decode(self, chunks: Sequence[np.ndarray]) -> int:
        """Decode the images of all chunks, without crop and resize; return their number."""
        return sum(self._pool.imap_unordered(_decode, chunks))

    def views(self, chunks: Sequence[np.ndarray]) -> int:
        """Cut a view out of each image of all chunks; return their number."""
        return sum(self._pool.imap_unordered(_decode_and_crop, chunks))

    def __enter__(self) -> "BareDecoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.terminate()
        self._pool.join()


def bare_view(files: ImageFiles, views: np.ndarray, size: int, index: int) -> torch.Tensor:
    """One view by torchvision's own functions, uint8 (3, size, size)."""
    image = decode_image(read_file(str(files.root / files.paths[index])), ImageReadMode.RGB)
    top, left, height, width, flip = views[index].tolist()
    view: torch.Tensor = resized_crop(image, top, left, height, width, [size, size], antialias=True)
    return horizontal_flip(view) if flip else view


#: What a worker works on: the files, a view of each, the views' size.
_adopted: tuple[ImageFiles, np.ndarray, int]


def _adopt(files: ImageFiles, views: np.ndarray, size: int) -> None:
    global _adopted
    _adopted = (files, views, size)


def _decode(chunk: np.ndarray) -> int:
    files, _, _ = _adopted
    for index in chunk.tolist():
        decode_image(read_file(str(files.root / files.paths[index])), ImageReadMode.RGB)
    return len(chunk)


def _decode_and_crop(chunk: np.ndarray) -> int:
    """What a loader written with torchvision alone does; the same pixels as a streamed view's (a test compares)."""
    for index in chunk.tolist():
        bare_view(*_adopted, index)
    return len(chunk)
