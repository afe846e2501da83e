"""What the images that a store still lacks will take: bytes and seconds, from a sample that is made and thrown away."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.store.image_store import ImageStore
from trainables.cckd.errors import DamagedImageError

#: Images that are made for the estimate; at 8 ms each they take a quarter of a second.
_SAMPLE = 32


@dataclass(frozen=True)
class StoreCost:
    """What a store takes.

    Attributes:
        n_images: images that it should have.
        n_absent: of these, images that it has no file of.
        n_unshrunk: images that stay in their own files, because they are not larger.
        n_bytes: expected bytes of the absent ones.
        seconds: expected seconds of one core for them.
    """

    n_images: int
    n_absent: int
    n_unshrunk: int
    n_bytes: int
    seconds: float


def store_cost(store: ImageStore, sets: Sequence[ImageFiles]) -> StoreCost:
    """Make some of the absent images, evenly spread over the sets, and return what all of them will take."""
    absent = [(files, row) for files in sets for row in store.absent(files).tolist()]
    n_images = sum(len(store.shrinking(files)) for files in sets)
    n_unshrunk = sum(map(len, sets)) - n_images
    if not absent:
        return StoreCost(n_images, 0, n_unshrunk, 0, 0.0)
    spread = np.unique(np.linspace(0, len(absent) - 1, _SAMPLE).astype(np.int64)).tolist()
    _bytes_of(store, *absent[spread[0]])  # pays for the imports
    start = time.perf_counter()
    sizes = [_bytes_of(store, *absent[k]) for k in spread]
    seconds = (time.perf_counter() - start) / len(spread)
    return StoreCost(
        n_images, len(absent), n_unshrunk, round(len(absent) * float(np.mean(sizes))), len(absent) * seconds
    )


def _bytes_of(store: ImageStore, files: ImageFiles, row: int) -> int:
    try:
        return len(store.small(files, row))
    except DamagedImageError:  # the study finds and names it before the first trial
        return 0
