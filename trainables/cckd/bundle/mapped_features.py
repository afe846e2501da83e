"""Teacher features too large to be copied: left in the cache's file, and standardised as they are read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Features of more bytes are mapped; smaller ones are standardised once and kept in memory.
IN_MEMORY_BYTES = 2**30


@dataclass(frozen=True)
class FileArray:
    """An array inside a file: what crosses to another process of this machine is where it lies, not what it holds."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, array: "np.memmap[tuple[int, ...], np.dtype[np.float16]]") -> "FileArray":
        """Where a whole memory-mapped array lies."""
        return cls(Path(str(array.filename)), array.offset, array.shape, array.dtype.str)

    def open(self) -> NDArray[np.float16]:
        """Map it, read-only."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


@dataclass(frozen=True, eq=False)
class RawFeatures:
    """Raw features of all views, and what standardises them.

    Attributes:
        values: float16 (N, V, D), in a file or, where other machines need them, as an array.
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
        """The values as an array that is only to be read."""
        return self.values.open() if isinstance(self.values, FileArray) else self.values
