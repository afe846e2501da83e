"""Images that two sets of a data set share: the same decoded pixels, whatever their labels and file names."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import blake2b
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.data.images.decoded_images import RaggedImages
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.sets import ImageSet
from trainables.cckd.errors import DamagedImageError

_Set = ImageSet | ImageFiles | RaggedImages


def shared_images(sets: Mapping[str, _Set]) -> dict[tuple[str, str], int]:
    """Count the images that two sets share.

    Arrays and decoded images are compared by a hash of their pixels. Image files are compared by it where the scan's
    marks are equal: only those files are decoded, so a file that was written again in another format is not found.

    Args:
        sets: name -> set, after the scan; the same object under two names is compared once.

    Returns:
        (first set, second set) -> images of the second set whose pixels are in the first; pairs without any are absent.

    A file that cannot be decoded is like no other one; the study finds it before the first trial.
    """
    last = {id(of_set): name for name, of_set in sets.items()}
    found = {}
    for first, second in combinations(last.values(), 2):
        one, other = sets[first], sets[second]
        n_shared = _shared_files(one, other) if isinstance(one, ImageFiles) and isinstance(other, ImageFiles) else 0
        if not isinstance(one, ImageFiles) and not isinstance(other, ImageFiles):
            known = set(_hashes(one))
            n_shared = sum(digest in known for digest in _hashes(other))
        if n_shared:
            found[first, second] = n_shared
    return found


def _shared_files(one: ImageFiles, other: ImageFiles) -> int:
    marks = np.intersect1d(one.marks, other.marks)
    suspects = [files.take(np.flatnonzero(np.isin(files.marks, marks))) for files in (one, other)]
    known = set(_file_hashes(suspects[0]))
    return sum(digest in known for digest in _file_hashes(suspects[1]))


def _hashes(images: ImageSet | RaggedImages) -> Iterator[bytes]:
    if isinstance(images, RaggedImages):
        return (_hash(images.image(index)) for index in range(len(images)))
    return map(_hash, images.images)


def _file_hashes(files: ImageFiles) -> Iterator[bytes]:
    if not len(files):
        return
    from trainables.cckd.data.images.decode import read_image  # imports torch, which few sets need here

    for index in range(len(files)):
        with suppress(DamagedImageError):
            yield _hash(read_image(files, index))


def _hash(pixels: NDArray[np.uint8]) -> bytes:
    return blake2b(f"{pixels.shape}".encode() + pixels.tobytes(), digest_size=16).digest()
