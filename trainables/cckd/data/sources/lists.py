"""List files of images, one `relative/path label` per line, as in the long-tail releases."""

import posixpath
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.errors import N_NAMED, DataError, first_few


@dataclass(frozen=True, eq=False)
class ImageList:
    """Relative paths with their labels int64 (N,), in the file's order."""

    paths: tuple[str, ...]
    labels: NDArray[np.int64]


def read_lists(files: Mapping[str, Path], *, n_classes: int | None = None, apart: bool = True) -> dict[str, ImageList]:
    """Read list files that belong together and check them against each other.

    Labels must run from 0 to C - 1 and every list must show every class.

    Args:
        files: name of the part -> list file; one part is 'train'.
        n_classes: C; None for one more than the largest label of the training list.
        apart: whether a path in two lists is a fault, such as a test image that is trained on.

    Raises:
        DataError: unreadable files, lines without path and label, paths outside the root, repeated paths, labels out
            of range, missing classes, empty lists; names all of them.
    """
    faults: list[str] = []
    lists = {part: _read(path, faults) for part, path in files.items()}
    if n_classes is None and len(lists["train"].labels):
        n_classes = int(lists["train"].labels.max()) + 1
        if n_classes < 2:
            faults.append(f"{files['train']} must show at least 2 classes; its largest label is {n_classes - 1}")
    least = min((int(of_part.labels.min()) for of_part in lists.values() if len(of_part.labels)), default=0)
    if least == 1:
        faults.append(f"labels must count from 0; those of {', '.join(map(str, files.values()))} count from 1")
    for part, of_part in lists.items():
        if len(of_part.labels) and n_classes is not None and least != 1:
            faults += _label_faults(files[part], of_part, n_classes)
    if apart:
        faults += _shared(files, lists)
    if faults:
        raise DataError(faults)
    return lists


def class_names(train: ImageList, n_classes: int) -> tuple[str, ...]:
    """Return each class's folder in the training list, below the shared part; without such folders, the labels."""
    folders: dict[int, set[tuple[str, ...]]] = {}
    for path, label in zip(train.paths, train.labels.tolist(), strict=True):
        folders.setdefault(label, set()).add(tuple(path.split("/")[:-1]))
    named = [next(iter(folders[label])) for label in range(n_classes) if len(folders[label]) == 1]
    if len(set(named)) < n_classes:
        return tuple(str(label) for label in range(n_classes))
    shared = 0
    while len({parts[shared : shared + 1] for parts in named}) == 1:
        shared += 1
    names = tuple("/".join(parts[shared:]) for parts in named)
    return names if all(names) else tuple(str(label) for label in range(n_classes))


def _read(path: Path, faults: list[str]) -> ImageList:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{path} cannot be read as a list of images ({error})")
        return ImageList((), np.empty(0, np.int64))
    paths, labels, broken, outside = [], [], [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        *head, label = line.rsplit(maxsplit=1)
        if not head or not label.removeprefix("-").isdecimal() or len(label) > 9:
            broken.append(number)
            continue
        name = head[0].strip()
        if "//" in name or "./" in name:
            name = posixpath.normpath(name)  # one spelling per file, so that a repeated path is noticed
        if name.startswith("/") or ".." in name.split("/"):
            outside.append(name)
        paths.append(name)
        labels.append(int(label))
    if broken:
        faults.append(f"{path}: a line must read 'relative/path label'; lines {first_few(broken)} do not")
    elif not paths:
        faults.append(f"{path} must list at least one image; it lists none")
    if outside:
        faults.append(f"{path}: paths must be relative and stay below the root; got {first_few(outside)}")
    twice = [name for name, times in Counter(paths).items() if times > 1]
    if twice:
        faults.append(f"{path}: a path must be listed once; listed again: {first_few(twice)}")
    return ImageList(tuple(paths), np.array(labels, np.int64))


def _label_faults(path: Path, listed: ImageList, n_classes: int) -> list[str]:
    faults = []
    beyond = np.flatnonzero((listed.labels < 0) | (listed.labels >= n_classes))
    if beyond.size:
        examples = [f"{listed.labels[index]} ({listed.paths[index]})" for index in beyond.tolist()]
        faults.append(f"{path}: labels must lie in 0..{n_classes - 1}; got {first_few(examples)}")
    present = set(listed.labels.tolist())
    n_missing = n_classes - sum(0 <= label < n_classes for label in present)
    if n_missing:
        some = list(islice((label for label in range(n_classes) if label not in present), N_NAMED))
        more = f" and {n_missing - len(some)} more" if n_missing > len(some) else ""
        faults.append(
            f"{path}: every class of 0..{n_classes - 1} needs an image; none of class {', '.join(map(str, some))}{more}"
        )
    return faults


def _shared(files: Mapping[str, Path], lists: Mapping[str, ImageList]) -> list[str]:
    faults = []
    for first, second in combinations(lists, 2):
        both = sorted(set(lists[first].paths) & set(lists[second].paths))
        if both:
            faults.append(f"{files[first]} and {files[second]} must share no path; both list {first_few(both)}")
    return faults
