"""The idx file format of MNIST and its kin, plain or gzipped (LeCun et al., yann.lecun.com/exdb/mnist)."""

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.errors import DataError

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes into an array of the shape in its header.

    Header: two zero bytes, the type code, the number of dimensions, then each dimension as a big-endian
    uint32.

    Raises:
        DataError: the file is no such file, or its length does not match its header; names the file.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); remove it, and it will be fetched again") from error
    n_dims = content[3] if len(content) >= 4 else 0
    start = 4 + 4 * n_dims
    if content[:3] != bytes((0, 0, _UNSIGNED_BYTE)) or n_dims == 0 or len(content) < start:
        raise DataError(
            f"{path} must be an idx file of unsigned bytes; got a header of {content[:4].hex() or 'nothing'}"
        )
    shape = tuple(np.frombuffer(content, ">u4", count=n_dims, offset=4).tolist())
    if len(content) - start != prod(shape):
        raise DataError(f"{path} must hold {prod(shape)} bytes for shape {shape}; got {len(content) - start}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
