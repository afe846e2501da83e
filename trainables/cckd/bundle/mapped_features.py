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


@dataclass(frozen=True, eq=False)
class RawFeatures:
    """Raw features of all views, with the mean and deviation that standardise them.

    Attributes:
        values: float16 (N, V, D), in a file; an array where other machines need them.
        mean, std: float32 (D,) each.
    """

    values: FileArray | NDArray[np.float16]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, V, D)."""
        return self.values.shape

    def open(self) -> NDArray[np.float16]:
        """Return the values as an array that must only be read."""
        return self.values.open() if isinstance(self.values, FileArray) else self.values
