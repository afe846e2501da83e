"""Check every image file before a study, without decoding: an unusable file is reported now, not in epoch 3."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from trainables.cckd.data.images.formats.header import Header, read_header
from trainables.cckd.data.images.formats.limits import UnusableImageError
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.errors import N_NAMED, DataError

#: Reading files waits for the disk or the network, so more threads than cores help.
_N_THREADS = 16
_CHUNK = 256

#: Called with (files read, number of files): first with 0, then after every chunk.
OnScan = Callable[[int, int], None]


@dataclass(frozen=True)
class Scan:
    """The sets with sizes and marks filled in, and the files that were left out.

    Attributes:
        sets: as given, without the skipped files.
        skipped: 'path: reason' for each file that was left out; a file in several sets appears once.
    """

    sets: Mapping[str, ImageFiles]
    skipped: tuple[str, ...]


def scan(sets: Mapping[str, ImageFiles], *, skip_corrupt: bool = False, on_progress: OnScan | None = None) -> Scan:
    """Read and check every file of every set.

    Args:
        sets: name -> files; the same object under two names is read once.
        skip_corrupt: leave unusable files out, instead of refusing the set.
        on_progress: called with the progress.

    Raises:
        DataError: unusable files, unless `skip_corrupt`; names the first ten with their reasons, and their number.
    """
    distinct = {id(files): files for files in sets.values()}
    n_files = sum(map(len, distinct.values()))
    report = on_progress or (lambda n_read, n_total: None)
    report(0, n_files)
    n_read = 0
    reasons: dict[str, str] = {}
    done: dict[int, ImageFiles] = {}
    for key, files in distinct.items():
        found: list[Header | str] = []
        chunks = [files.paths[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
        with ThreadPoolExecutor(_N_THREADS) as pool:
            for headers in pool.map(partial(_read_chunk, files.root), chunks):
                found += headers
                n_read += len(headers)
                report(n_read, n_files)
        for path, header in zip(files.paths, found, strict=True):
            if isinstance(header, str):
                reasons[str(files.root / path)] = header
        done[key] = _with_headers(files, found)
    skipped = tuple(f"{path}: {reason}" for path, reason in reasons.items())
    if skipped and not skip_corrupt:
        summary = f"{len(skipped)} of {n_files} image files cannot be used; {_advice(sets, done)}"
        more = [f"and {len(skipped) - N_NAMED} more"] if len(skipped) > N_NAMED else []
        raise DataError([summary, *skipped[:N_NAMED], *more])
    return Scan({name: done[id(files)] for name, files in sets.items()}, skipped)


def _advice(sets: Mapping[str, ImageFiles], usable: Mapping[int, ImageFiles]) -> str:
    """Say what to do about unusable files: leaving them out helps only where every class keeps an image."""
    empty = {name: files for name, files in sets.items() if len(files) and not len(usable[id(files)])}
    if empty:
        folders = dict.fromkeys(str(files.root) for files in empty.values())
        return f"none of {' and '.join(empty)} is left: are the paths right, and the folder {' and '.join(folders)}?"
    poorer = [name for name, files in sets.items() if set(usable[id(files)].labels) < set(files.labels)]
    if poorer:
        return f"a class of {' and '.join(poorer)} would have no image left without them"
    return "--skip-corrupt leaves them out"


def _with_headers(files: ImageFiles, found: Sequence[Header | str]) -> ImageFiles:
    """Return the files that have a header, with their sizes and marks."""
    usable = [(index, header) for index, header in enumerate(found) if isinstance(header, Header)]
    kept = files.take(np.array([index for index, _ in usable], np.int64))
    sizes = np.array([(header.height, header.width) for _, header in usable], np.int32).reshape(-1, 2)
    return replace(kept, sizes=sizes, marks=np.array([header.mark for _, header in usable], np.uint64))


def _read_chunk(root: Path, paths: Sequence[str]) -> list[Header | str]:
    """Return a header, or the reason why there is none, for each path."""
    found: list[Header | str] = []
    for path in paths:
        try:
            found.append(read_header(root / path))
        except UnusableImageError as error:
            found.append(str(error))
    return found
