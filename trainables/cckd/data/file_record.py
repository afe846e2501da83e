"""The image files of a study as they were when it was begun, so that a resumed study can tell lost from changed files.

The hash of a data set says only that something has changed. The record says what, so that files that are damaged later
can leave the set while all others are shown to be the same.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.load import LongTailData
from trainables.cckd.errors import DataError, first_few
from trainables.cckd.files.atomic import write_bytes

_FIELDS = ("paths", "labels", "sizes", "marks")


def write_record(path: Path, data: LongTailData) -> None:
    """Write paths, labels, sizes and marks of the three sets to a safetensors file; of arrays there is no record."""
    sets = _files_of(data)
    if sets:
        arrays = {
            f"{name}.{field}": np.ascontiguousarray(array)
            for name, files in sets.items()
            for field, array in zip(_FIELDS, files.arrays, strict=True)
        }
        write_bytes(path, save(arrays))


def files_lost(path: Path, data: LongTailData) -> tuple[str, ...]:
    """Compare a data set with its record; return the relative paths of the files that it has lost since then.

    Raises:
        DataError: there is no record, or the set holds other files, labels or images than the record, or another order.
    """
    try:
        arrays = load(path.read_bytes())
    except OSError:
        raise DataError(f"{path} must say what the files were; it cannot be read") from None
    lost: list[str] = []
    for name, files in _files_of(data).items():
        joined, *known = (arrays[f"{name}.{field}"] for field in _FIELDS)
        listed = joined.tobytes().decode("utf-8", "surrogateescape").split("\0")
        place = {relative: row for row, relative in enumerate(listed)}
        rows = np.array([place.get(relative, -1) for relative in files.paths], np.int64)
        same = rows >= 0
        for before, now in zip(known, files.arrays[1:], strict=True):
            same &= (before[rows] == now).reshape(len(rows), -1).all(axis=1)
        if not same.all() or (np.diff(rows) <= 0).any():
            others = [files.paths[row] for row in np.flatnonzero(~same).tolist()]
            raise DataError(
                f"only files that are damaged or gone may leave a study; in the {name} set others have changed: "
                f"{first_few(others) or 'their order'}"
            )
        lost += [listed[row] for row in np.setdiff1d(np.arange(len(listed)), rows).tolist()]
    return tuple(dict.fromkeys(lost))


def _files_of(data: LongTailData) -> Mapping[str, ImageFiles]:
    sets = {name: getattr(data, name) for name in ("train", "val", "test")}
    return {name: of_set for name, of_set in sets.items() if isinstance(of_set, ImageFiles)}
