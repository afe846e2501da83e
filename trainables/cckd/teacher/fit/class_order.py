"""Which class each output of a network's own classifier stands for: our order, timm's natural one, or that of a file.

torchvision and we sort class folders as texts, `1 10 11 2 3`; timm sorts numbers in them as numbers, `1 2 3 10 11`.
A classifier that was trained in one order is wrong about most classes in the other, and nothing else would show it.
"""

import re
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainables.cckd.errors import DamagedImageError, TeacherError, first_few
from trainables.cckd.teacher.spec import NATURAL, OWN_CLASSIFIER, TeacherSpec
from trainables.cckd.teacher.teacher_file import TeacherFile

#: Training images that the orders are compared on.
_MOST_IMAGES = 128
#: Standard deviations by which another order must name more images right (McNemar's test of the two counts).
_CLEAR = 3.0


class Right(NamedTuple):
    """How many of `n` training images a classifier names right in each order: name of the order -> images."""

    n: int
    by_order: dict[str, int]


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
    twice = list(dict.fromkeys(name for name in names if names.count(name) > 1))
    absent = [name for name in class_names if name not in names]
    other = [name for name in names if name not in class_names]
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


def order_fault(spec: TeacherSpec, file: TeacherFile, size: int, images: Any, class_names: Sequence[str]) -> str | None:
    """Compare the stated order of a teacher's outputs with the usual ones on training images; return what is wrong.

    Args:
        spec: the teacher.
        file: its weights.
        size: side of its input, pixels.
        images: the training set, an `ImageSet` or `ImageFiles`.
        class_names: C names, in label order.

    Returns:
        One sentence where another order names clearly more images right; None where none does, where the form has no
        classifier of its own, or where all orders are the same.
    """
    stated = output_names(spec, class_names)
    if stated is None or not (others := other_orders(stated)):
        return None
    right = _count_right(file, size, images, class_names, {"stated": stated, **others})
    ours = right.by_order["stated"]
    how, most = max(((how, right.by_order[how]) for how in others), key=lambda found: found[1])
    if most - ours <= _CLEAR * sqrt(most + ours):
        return None
    return (
        f"the outputs of {file.path} are not in the order of the classes: of {right.n} training images it names {most} "
        f"right with classes sorted {how} ({first_few(others[how])}), {ours} with ({first_few(stated)}); give its "
        f"order with --teacher-classes, {NATURAL} or timm's class_map.txt"
    )


def _count_right(
    file: TeacherFile, size: int, images: Any, class_names: Sequence[str], orders: dict[str, tuple[str, ...]]
) -> Right:
    """Count on images of classes that stand at different outputs in different orders, as many of each class."""
    from trainables.cckd.teacher.backbone import build_backbone, read_classifier
    from trainables.cckd.teacher.features import extract

    labels = np.asarray(images.labels)
    places = np.array([[order.index(name) for name in class_names] for order in orders.values()])
    moved = np.flatnonzero((places != places[0]).any(axis=0))
    each = max(1, _MOST_IMAGES // len(moved))
    rows = np.concatenate([np.flatnonzero(labels == label)[:each] for label in moved[:_MOST_IMAGES]])
    taken = images.take(rows)
    try:
        features = extract(build_backbone(file, size=size), getattr(taken, "images", taken))
    except DamagedImageError:  # told where every image is decoded
        return Right(0, dict.fromkeys(orders, 0))
    weight, bias = read_classifier(file, size=size)
    named = (features.astype(np.float32) @ weight.T + bias).argmax(axis=1)
    counts = (places[:, labels[rows]] == named).sum(axis=1)
    return Right(len(rows), dict(zip(orders, counts.tolist(), strict=True)))


def _natural_key(name: str) -> list[int | str]:
    """As timm's `natural_key`: texts and numbers take turns, so that any two names can be compared."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", name.lower()))]
