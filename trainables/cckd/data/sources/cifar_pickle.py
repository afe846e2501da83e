"""CIFAR's pickles, read without running any code that a pickle may contain.

A pickle names functions that the reader calls, so a plain load can run any program. This reader maps the few names that
an array of bytes needs to the small classes below, and refuses every other name.
"""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.errors import DataError


def load_batch(path: Path) -> dict[str, Any]:
    """Load a dictionary of texts, numbers, lists and arrays of bytes, written by any Python and any NumPy.

    Raises:
        DataError: no such dictionary, or a pickle that asks for anything else; names the file.
    """
    try:
        # latin1 keeps the bytes of arrays that Python 2 wrote
        batch = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise any error
        raise DataError(f"{path} cannot be read as a CIFAR batch ({type(error).__name__}: {error})") from error
    if not isinstance(batch, dict):
        raise DataError(f"{path} must be a CIFAR batch, a dictionary; got {type(batch).__name__}")
    return {key: value.content if isinstance(value, _Array) else value for key, value in batch.items()}


class _Dtype:
    """Stands for numpy.dtype; it keeps the code."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Byte order and alignment, which bytes do not have."""


class _Array:
    """Stands for an array under construction; it accepts bytes only."""

    content: NDArray[np.uint8] | None = None

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Dtype, bool, bytes | str]) -> None:
        _, shape, dtype, column_major, content = state
        if dtype.code != "u1":
            raise pickle.UnpicklingError(f"it holds an array of {dtype.code!r}, not of bytes")
        raw = content.encode("latin1") if isinstance(content, str) else content
        self.content = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if column_major else "C")


def _as_bytes(text: str, encoding: str) -> bytes:
    """Stands for _codecs.encode, which Python 3 uses for bytes under pickle protocol 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
    return text.encode("latin1")


_STAND_INS: Mapping[tuple[str, str], Any] = MappingProxyType(
    {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("_codecs", "encode"): _as_bytes,
    }
)


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for `module.name`; a name without one is refused, not imported."""
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no image file needs")
        return _STAND_INS[module, name]
