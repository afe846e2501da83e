"""Teacher features too large to copy: they stay in the cache's file and are standardised when they are read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Features with more bytes are mapped; smaller ones are standardised once and kept in memory.
IN_MEMORY_BYTES = 2**30


@dataclass(frozen=True)
class FileArray:
    """An array inside a file: another process of this machine gets its position, not its content."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, array: "np.memmap[tuple[int, ...], np.dtype[np.float16]]") -> "FileArray":
        """Return the position of a whole memory-mapped array."""
        return cls(Path(str(array.filename)), array.offset, array.shape, array.dtype.str)

    def open(self) -> NDArray[np.float16]:
        """Map the array into memory, read-only."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


#: Where a process reads features: an array, or the place of a file on this machine.
FeatureSource = FileArray | NDArray[np.float16]


def source_of(features: NDArray[np.float16], *, one_machine: bool) -> FeatureSource:
    """Return where other processes read `features`: in their file, where one machine has all processes.

    Args:
        features: of any shape; mapped from a file, or in memory.
        one_machine: whether every reader has the file.
    """
    if one_machine and isinstance(features, np.memmap):
        return FileArray.of(features)
    return np.asarray(features)


def opened(source: FeatureSource) -> NDArray[np.float16]:
    """Return the features as an array that must only be read."""
    return source.open() if isinstance(source, FileArray) else source


@dataclass(frozen=True, eq=False)
class RawFeatures:
    """Raw features of all views, with the mean and deviation that standardise them.

    Attributes:
        values: float16 (N, V, D), in a file; an array where other machines need them.
        mean, std: float32 (D,) each.
    """

    values: FeatureSource
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, V, D)."""
        return self.values.shape

    def open(self) -> NDArray[np.float16]:
        """Return the values as an array that must only be read."""
        return opened(self.values)
