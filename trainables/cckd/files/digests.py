"""SHA-256 digests of files, of arrays and of plain values."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `study.run --help` reads this module and should not wait for numpy
    from numpy.typing import NDArray


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_array(array: "NDArray[Any]") -> str:
    """SHA-256 over dtype, shape and bytes in row-major order, hexadecimal."""
    head = f"{array.dtype.str} {array.shape}".encode()
    return hashlib.sha256(head + array.tobytes()).hexdigest()


def json_digest(content: Any, *, spaced: bool = False, allow_nan: bool = True) -> str:
    """SHA-256 of `content` as canonical JSON, hexadecimal: the same on every machine.

    The order of a mapping's keys does not matter; tuples count as lists; 1, 1.0, True and "1" are all different.

    Args:
        content: plain values.
        spaced: whether spaces follow commas and colons. Files of the teacher cache have had names of this form from
            the start, and another form would not find them again.
        allow_nan: whether NaN and infinity may occur, for which JSON has no standard form.

    Raises:
        TypeError: a value that JSON has no form for, such as an array.
        ValueError: NaN or infinity, where `allow_nan` is False.
    """
    separators = None if spaced else (",", ":")
    text = json.dumps(content, sort_keys=True, separators=separators, allow_nan=allow_nan, default=_as_dict)
    return hashlib.sha256(text.encode()).hexdigest()


def _as_dict(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"canonical JSON holds numbers, texts, lists and mappings; got {type(value).__name__}")
