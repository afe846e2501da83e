"""Small idx files in Fashion-MNIST's layout."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

N_POOL, N_TEST = 12, 6  # images a class


@pytest.fixture(scope="session")
def idx_bytes() -> Callable[[NDArray[np.uint8]], bytes]:
    """Return a function that writes an array of unsigned bytes as an idx file's content."""
    return _idx_bytes


@pytest.fixture
def write_fashion() -> Callable[..., None]:
    """Return a function that fills a folder with four small files, gzipped or plain."""
    return _write_fashion


def _idx_bytes(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def _write_fashion(folder: Path, *, gzipped: bool = True, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for part, per_class in (("train", N_POOL), ("t10k", N_TEST)):
        labels = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), per_class))
        images = rng.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            content = _idx_bytes(array)
            path = folder / (f"{name}.gz" if gzipped else name)
            path.write_bytes(gzip.compress(content, compresslevel=1) if gzipped else content)
