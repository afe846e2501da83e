"""The long tail: how many training images each class keeps, which ones, and the groups of classes by count.

The rule is that of the CIFAR-LT releases (Cao et al., LDAM, NeurIPS 2019):
n_i = int(n_max * f ** (i / (C - 1))) with f = 1 / IR, truncated, classes in label order.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.errors import DataError

IMBALANCE_TYPES = ("exp", "step")

#: Groups go by training counts: many > 100, medium 20..100, few < 20 (Liu et al., OLTR, CVPR 2019).
MANY_ABOVE, FEW_BELOW = 100, 20


@dataclass(frozen=True)
class Groups:
    """Class ids by training count; every class is in one of many/medium/few and in one of the terciles.

    `many`: more than 100 images, `medium`: 20 to 100, `few`: fewer than 20. The terciles split the classes, ordered
    by falling count (ties by class id), into three parts. Where C is not a multiple of 3, the earlier parts have one
    class more. Terciles stay comparable where few classes fill the fixed groups.
    """

    many: tuple[int, ...]
    medium: tuple[int, ...]
    few: tuple[int, ...]
    tercile_high: tuple[int, ...]
    tercile_middle: tuple[int, ...]
    tercile_low: tuple[int, ...]

    def to_dict(self) -> dict[str, list[int]]:
        """Group name -> class ids, plain types for a manifest."""
        return {name: list(ids) for name, ids in asdict(self).items()}


def class_counts(n_max: int, n_classes: int, ir: float, imb_type: str = "exp") -> tuple[int, ...]:
    """Return the number of training images of each class, in label order.

    Args:
        n_max: images of the first class.
        n_classes: C, at least 2.
        ir: imbalance ratio, largest over smallest class, at least 1.
        imb_type: 'exp', or 'step': the first C // 2 classes n_max, the others int(n_max / IR).

    Raises:
        DataError: a value outside its domain, or a class without an image; lists every fault.
    """
    faults = []
    if n_max < 1:
        faults.append(f"n_max must be at least 1; got {n_max}")
    if n_classes < 2:
        faults.append(f"a long tail needs at least 2 classes; got {n_classes}")
    if not 1 <= ir < float("inf"):
        faults.append(f"ir must be a finite number of at least 1; got {ir}")
    if imb_type not in IMBALANCE_TYPES:
        faults.append(f"imb_type must be one of {', '.join(IMBALANCE_TYPES)}; got {imb_type!r}")
    if faults:
        raise DataError(faults)
    factor = 1.0 / ir
    if imb_type == "exp":
        counts = tuple(int(n_max * factor ** (i / (n_classes - 1.0))) for i in range(n_classes))
    else:
        n_head = n_classes // 2
        counts = (n_max,) * n_head + (int(n_max * factor),) * (n_classes - n_head)
    if min(counts) < 1:
        raise DataError(
            f"n_max must be larger than ir, so that every class keeps an image; got n_max={n_max}, ir={ir:g}"
        )
    return counts


def cut(labels: NDArray[np.int64], counts: Sequence[int], rng: np.random.RandomState) -> NDArray[np.int64]:
    """Pick `counts[c]` samples of each class c: in label order, shuffle its indices, take the first ones.

    With `RandomState(0)` this is the usual selection for CIFAR-LT. At the same `rng` state, a selection of fewer
    images per class is part of a selection of more, because shuffling does not depend on `counts`.

    Args:
        labels: int64 (N,).
        counts: images to pick of each class, (C,).
        rng: it is advanced. NumPy has frozen the stream of RandomState (NEP 19), so a selection outlives versions.

    Returns:
        indices into `labels`, int64 (sum of counts,), class after class.

    Raises:
        DataError: classes with fewer samples than `counts` asks for; lists them all.
    """
    chosen, faults = [], []
    for class_id, wanted in enumerate(counts):
        pool = np.flatnonzero(labels == class_id)
        if wanted > pool.size:
            faults.append(f"class {class_id} has {pool.size} images to choose from; got a request for {wanted}")
        rng.shuffle(pool)
        chosen.append(pool[:wanted])
    if faults:
        raise DataError(faults)
    return np.concatenate(chosen).astype(np.int64)


def groups_of(counts: Sequence[int]) -> Groups:
    """Group the classes by their training counts (C,)."""
    by_count = sorted(range(len(counts)), key=lambda class_id: (-counts[class_id], class_id))
    high, middle, low = (tuple(sorted(part.tolist())) for part in np.array_split(np.array(by_count, int), 3))
    return Groups(
        many=tuple(c for c, n in enumerate(counts) if n > MANY_ABOVE),
        medium=tuple(c for c, n in enumerate(counts) if FEW_BELOW <= n <= MANY_ABOVE),
        few=tuple(c for c, n in enumerate(counts) if n < FEW_BELOW),
        tercile_high=high,
        tercile_middle=middle,
        tercile_low=low,
    )
