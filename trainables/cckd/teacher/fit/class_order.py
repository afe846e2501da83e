"""Which class each output of a network's own classifier stands for: our order, timm's natural one, or that of a file.

torchvision and we sort class folders as texts, `1 10 11 2 3`; timm sorts numbers in them as numbers, `1 2 3 10 11`.
A classifier that was trained in one order is wrong about most classes in the other, and nothing else would show it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from math import comb
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.errors import DamagedImageError, TeacherError, first_few
from trainables.cckd.teacher.spec import NATURAL, OWN_CLASSIFIER, TeacherSpec
from trainables.cckd.teacher.teacher_file import TeacherFile

#: Training images that the orders are compared on.
_MOST_IMAGES = 128
#: Level of the exact one-sided McNemar test of two orders. Eight images against none pass it, seven do not.
_LEVEL = 0.005


class Right(NamedTuple):
    """How many of `n` training images a classifier names right in the stated order and in another one.

    Attributes:
        n: images that both orders are judged on.
        ours, theirs: of them right in the stated order, and in the other.
        only_ours, only_theirs: of those, not right in the other order.
    """

    n: int
    ours: int
    theirs: int
    only_ours: int
    only_theirs: int


def natural_order(class_names: Sequence[str]) -> tuple[str, ...]:
    """Return the names as timm's readers of image folders sort them: numbers by value, letters without their case."""
    return tuple(sorted(class_names, key=_natural_key))


def output_names(spec: TeacherSpec, class_names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the class of each output of the teacher's own classifier, (C,); None where its form has none.

    Raises:
        TeacherError: the file of `spec.classes` does not name every class once.
    """
    if spec.form not in OWN_CLASSIFIER:
        return None
    if spec.classes is None:
        return tuple(class_names)
    return natural_order(class_names) if spec.classes == NATURAL else read_class_map(Path(spec.classes), class_names)


def read_class_map(path: Path, class_names: Sequence[str]) -> tuple[str, ...]:
    """Read timm's class_map.txt: the name of a class per line, in the order of the outputs.

    Raises:
        TeacherError: no such text file, or its lines are not the data set's classes, each once.
    """
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise TeacherError(
            f"--teacher-classes must be {NATURAL} or a text file with a class per line; {path}: {type(error).__name__}"
        ) from error
    counted, known = Counter(names), set(class_names)
    twice = [name for name, n in counted.items() if n > 1]
    absent = [name for name in class_names if name not in counted]
    other = [name for name in names if name not in known]
    faults = [
        f"{what} {first_few(found)}"
        for what, found in (("it lacks", absent), ("no class is called", other), ("it repeats", twice))
        if found
    ]
    if faults:
        raise TeacherError(
            f"{path} must name each of the data set's {len(class_names)} classes once; {'; '.join(faults)}"
        )
    return names


def other_orders(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the usual orders of these classes that differ from `names`: name of the order -> classes."""
    usual = {"as texts": tuple(sorted(names)), "naturally": natural_order(names)}
    return {how: order for how, order in usual.items() if order != tuple(names)}


def check_order(spec: TeacherSpec, file: TeacherFile, size: int, images: Any, class_names: Sequence[str]) -> str | None:
    """Compare the stated order of a teacher's outputs with the usual ones, on training images that are not damaged.

    Args:
        spec: the teacher.
        file: its weights.
        size: side of its input, pixels.
        images: the training set, an `ImageSet` or `ImageFiles`.
        class_names: C names, in label order.

    Returns:
        One sentence, without a full stop, where the images do not show that the stated order is the right one; None
        where they do, where the form has no classifier of its own, or where all orders are the same.

    Raises:
        TeacherError: another order names clearly more images right.
    """
    stated = output_names(spec, class_names)
    if stated is None or not (others := other_orders(stated)):
        return None
    named, labels = _answers(file, size, images, _moved([stated, *others.values()], class_names))
    found = {how: _compared(named, labels, class_names, stated, order) for how, order in others.items()}
    how, right = max(found.items(), key=lambda item: item[1].theirs)
    told = (
        f"of {right.n} training images it names {right.theirs} right with classes sorted {how} "
        f"({first_few(others[how])}), {right.ours} with ({first_few(stated)})"
    )
    if _clear(right.only_theirs, right.only_ours):
        raise TeacherError(
            f"the outputs of {file.path} are not in the order of the classes: {told}; give its order with "
            f"--teacher-classes, {NATURAL} or timm's class_map.txt"
        )
    if all(_clear(one.only_ours, one.only_theirs) for one in found.values()):
        return None
    return f"too few images show in which order the outputs of {file.path} are: {told}"


def _clear(more: int, fewer: int) -> bool:
    """Whether so many of the images that only one of two orders names right speak for the first, by chance one half."""
    n = more + fewer
    return sum(comb(n, k) for k in range(more, n + 1)) <= _LEVEL * 2**n


def _moved(orders: Sequence[tuple[str, ...]], class_names: Sequence[str]) -> NDArray[np.int64]:
    """Return the labels of the classes that stand at different outputs in different orders."""
    places = np.array([_places(order, class_names) for order in orders])
    return np.flatnonzero((places != places[0]).any(axis=0))


def _places(order: Sequence[str], class_names: Sequence[str]) -> NDArray[np.int64]:
    """Return the output of each class, (C,)."""
    place = {name: k for k, name in enumerate(order)}
    return np.array([place[name] for name in class_names])


def _answers(
    file: TeacherFile, size: int, images: Any, moved: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the output that the classifier chooses for each of M images, as many of each moved class; and labels."""
    from trainables.cckd.data.images.view_stream import damaged_files
    from trainables.cckd.teacher.backbone import build_backbone, read_classifier
    from trainables.cckd.teacher.features import extract

    labels = np.asarray(images.labels)
    each = max(1, _MOST_IMAGES // len(moved))
    taken = images.take(np.concatenate([np.flatnonzero(labels == label)[:each] for label in moved[:_MOST_IMAGES]]))
    backbone = build_backbone(file, size=size)
    try:
        features = extract(backbone, getattr(taken, "images", taken))
    except DamagedImageError:
        damaged = damaged_files(taken, workers=0)
        sound = [k for k, path in enumerate(taken.paths) if str(taken.root / path) not in damaged]
        taken = taken.take(np.array(sound, np.int64))
        features = extract(backbone, taken)
    weight, bias = read_classifier(file, size=size)
    return (features.astype(np.float32) @ weight.T + bias).argmax(axis=1), np.asarray(taken.labels)


def _compared(
    named: NDArray[np.int64],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    stated: Sequence[str],
    other: Sequence[str],
) -> Right:
    ours, theirs = (_places(order, class_names)[labels] == named for order in (stated, other))
    counts = (ours, theirs, ours & ~theirs, theirs & ~ours)
    return Right(len(named), *(int(right.sum()) for right in counts))


def _natural_key(name: str) -> list[int | str]:
    """As timm's `natural_key`: texts and numbers take turns, so that any two names can be compared."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", name.lower()))]
