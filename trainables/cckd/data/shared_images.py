"""Images that two sets of a data set share: the same decoded pixels, whatever their labels and file names."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.data.images.decoded_images import RaggedImages
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.sets import ImageSet
from trainables.cckd.errors import DamagedImageError

_Set = ImageSet | ImageFiles | RaggedImages


class SharedImages:
    """Counts the images that training sets share with the sets on which students are judged.

    Arrays and decoded images are compared by a hash of their pixels. Image files are compared by it where the scan's
    marks are equal: only those files are decoded, so a file that was written again in another format is not found.
    An image is read once, with however many training sets it is compared.

    A file that cannot be decoded is like no other one; the study finds it before the first trial.

    Args:
        judged: name -> set, after the scan; the same object under two names is compared once, by its last name.
    """

    def __init__(self, judged: Mapping[str, _Set]) -> None:
        last = {id(of_set): name for name, of_set in judged.items()}
        self._judged = {name: judged[name] for name in last.values()}
        self._of_judged: dict[str, list[bytes]] = {}
        self._of_files: dict[Path, bytes | None] = {}

    def in_training(self, train: _Set) -> dict[str, int]:
        """Return judged set -> its images whose pixels are in a training set; sets without any are absent."""
        known = None if isinstance(train, ImageFiles) else set(_hashes(train))
        found = {}
        for name, of_set in self._judged.items():
            if isinstance(train, ImageFiles) and isinstance(of_set, ImageFiles):
                found[name] = self._shared_files(train, of_set)
            elif known is not None and not isinstance(of_set, ImageFiles):
                found[name] = sum(digest in known for digest in self._digests(name))
        return {name: n for name, n in found.items() if n}

    def among_judged(self) -> dict[tuple[str, str], int]:
        """Return (first, second judged set) -> images of the second that the first holds too; absent without any."""
        found = {}
        for first, second in combinations(self._judged, 2):
            one, other = self._judged[first], self._judged[second]
            if isinstance(one, ImageFiles) and isinstance(other, ImageFiles):
                found[first, second] = self._shared_files(one, other)
            elif not isinstance(one, ImageFiles) and not isinstance(other, ImageFiles):
                known = set(self._digests(first))
                found[first, second] = sum(digest in known for digest in self._digests(second))
        return {pair: n for pair, n in found.items() if n}

    def _digests(self, name: str) -> list[bytes]:
        """Return the hashes of a judged set that is no set of files."""
        of_set = self._judged[name]
        assert not isinstance(of_set, ImageFiles), "files are decoded one by one"
        if name not in self._of_judged:
            self._of_judged[name] = list(_hashes(of_set))
        return self._of_judged[name]

    def _shared_files(self, one: ImageFiles, other: ImageFiles) -> int:
        marks = np.intersect1d(one.marks, other.marks)
        suspects = [files.take(np.flatnonzero(np.isin(files.marks, marks))) for files in (one, other)]
        known = set(self._file_hashes(suspects[0]))
        return sum(digest in known for digest in self._file_hashes(suspects[1]))

    def _file_hashes(self, files: ImageFiles) -> Iterator[bytes]:
        for index, path in enumerate(files.paths):
            place = files.root / path
            if place not in self._of_files:
                self._of_files[place] = _file_hash(files, index)
            digest = self._of_files[place]
            if digest is not None:
                yield digest


def _hashes(images: ImageSet | RaggedImages) -> Iterator[bytes]:
    if isinstance(images, RaggedImages):
        return (_hash(images.image(index)) for index in range(len(images)))
    return map(_hash, images.images)


def _file_hash(files: ImageFiles, index: int) -> bytes | None:
    """Return the hash of an image file; None where it cannot be decoded."""
    from trainables.cckd.data.images.decode import read_image  # imports torch, which few sets need here

    try:
        return _hash(read_image(files, index))
    except DamagedImageError:
        return None


def _hash(pixels: NDArray[np.uint8]) -> bytes:
    return blake2b(f"{pixels.shape}".encode() + pixels.tobytes(), digest_size=16).digest()
