"""Images that stay in their files: paths, labels, and the size and fingerprint that the scan found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files with their labels: the counterpart of `ImageSet` for images that are decoded when they are needed.

    Attributes:
        root: folder to which the paths are relative.
        paths: N relative paths, with forward slashes.
        labels: int64 (N,).
        sizes: int32 (N, 2), height and width in source pixels (no EXIF rotation applied); 0 before the scan.
        marks: uint64 (N,), a fingerprint of each file (see formats/header.py); 0 before the scan.
    """

    root: Path
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    sizes: NDArray[np.int32]
    marks: NDArray[np.uint64]

    @classmethod
    def listed(cls, root: Path, paths: Sequence[str], labels: Sequence[int] | NDArray[np.int64]) -> "ImageFiles":
        """Return files of which only path and label are known, before the scan."""
        n = len(paths)
        return cls(root, tuple(paths), np.array(labels, np.int64), np.zeros((n, 2), np.int32), np.zeros(n, np.uint64))

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Self:
        """Return the samples at `indices`, in that order."""
        return replace(
            self,
            paths=tuple(self.paths[index] for index in indices.tolist()),
            labels=self.labels[indices],
            sizes=self.sizes[indices],
            marks=self.marks[indices],
        )

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The arrays that the set's hash covers: all but the root, because a folder may move."""
        joined = "\0".join(self.paths).encode("utf-8", "surrogateescape")
        return np.frombuffer(joined, np.uint8), self.labels, self.sizes, self.marks


@dataclass(frozen=True, eq=False)
class StoredFiles(ImageFiles):
    """Image files that are read from an image store (data/store): small images, with the labels of the originals.

    `root` is the folder of the store, `sizes` are those of the small images. An image that is not larger than those of
    the store stays in its own file; its path is absolute. `marks` are those of the originals.
    """

    def is_small(self, index: int) -> bool:
        """Whether an image is read from the store, not from its own file."""
        return not self.paths[index].startswith("/")
