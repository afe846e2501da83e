"""Where D_val comes from. The split comes before the long tail is cut, so that D_val and test stay balanced.

The split's seed is a constant, not the study's seed: all studies of one set select and report on the same images.
"""

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.data.images.sets import DataSetInfo, LabelledImages, RawData
from trainables.cckd.errors import DataError, first_few
from trainables.cckd.long_tail import cut

#: Split modes. D_val is held out of the training pool before the long tail is cut, is one stratified half of the test
#: set, the set's own validation set, or the test set itself. `DataSetInfo.splits` lists the modes that suit a set.
SPLIT_MODES = ("holdout", "split_test", "own", "paper")

SPLIT_SEED = 0


def resolve_split(info: DataSetInfo, split: str | None) -> str:
    """Return `split`, or the set's default where it is None.

    Raises:
        DataError: a mode that does not exist, or makes no sense for this set.
    """
    if split is None:
        return info.default_split
    if split not in info.splits:
        known = "" if split in SPLIT_MODES else " (no such mode)"
        raise DataError(f"the split of {info.name} must be one of {', '.join(info.splits)}; got {split!r}{known}")
    return split


def available_split(info: DataSetInfo, split: str | None, raw: RawData) -> str:
    """Return the split mode once the files are known: as `resolve_split`, but 'holdout' where a default val is absent.

    Raises:
        DataError: as `resolve_split`, or 'own' for a set without a validation set.
    """
    mode = resolve_split(info, split)
    if mode != "own" or raw.val is not None:
        return mode
    if split is None:
        return "holdout"
    others = ", ".join(choice for choice in info.splits if choice != "own")
    raise DataError(f"the split 'own' needs a val set, and {raw.source} has none; choices: {others}")


def split_sets(raw: RawData, split: str, *, class_names: tuple[str, ...], n_holdout: int) -> tuple[LabelledImages, ...]:
    """Return (training pool, D_val, test) under a split mode from `available_split`.

    Args:
        raw: the set as published.
        split: the mode.
        class_names: C names, for error messages.
        n_holdout: images per class that `holdout` takes.

    Raises:
        DataError: a class with too few images to hold out, or to halve.
    """
    n_classes = len(class_names)
    rng = np.random.RandomState(SPLIT_SEED)
    if split == "holdout":
        per_class = np.bincount(raw.pool.labels, minlength=n_classes)
        _check_each(
            per_class,
            n_holdout + 1,
            class_names,
            f"the hold-out must be smaller than the smallest class of the training images; it takes {n_holdout} per "
            "class; give a val set, holdout=K after --data, or --split split_test;",
        )
        held = cut(raw.pool.labels, (n_holdout,) * n_classes, rng)
        return raw.pool.take(_rest(held, len(raw.pool))), raw.pool.take(held), raw.test
    if split == "split_test":
        per_class = np.bincount(raw.test.labels, minlength=n_classes)
        _check_each(per_class, 2, class_names, "the split 'split_test' needs 2 test images of every class, but")
        half = cut(raw.test.labels, (per_class // 2).tolist(), rng)
        return raw.pool, raw.test.take(half), raw.test.take(_rest(half, len(raw.test)))
    if split == "own":
        assert raw.val is not None, "available_split lets 'own' pass only with a val set"
        return raw.pool, raw.val, raw.test
    assert split == "paper", split
    return raw.pool, raw.test, raw.test


def _check_each(per_class: NDArray[np.int64], least: int, class_names: tuple[str, ...], rule: str) -> None:
    short = [f"class {c} ({class_names[c]}) has {per_class[c]}" for c in np.flatnonzero(per_class < least).tolist()]
    if short:
        raise DataError(f"{rule} {first_few(short)}")


def _rest(taken: NDArray[np.int64], n_total: int) -> NDArray[np.int64]:
    return np.setdiff1d(np.arange(n_total), taken)
