"""Where D_val comes from. Splits are made before the long tail is cut, so that D_val and test stay balanced.

The split's seed is a constant, never the study's seed: two studies of one set select and report on the same
images, whatever else differs between them.
"""

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.data.sets import DataSetInfo, ImageSet, RawData
from trainables.cckd.errors import DataError
from trainables.cckd.longtail import cut

#: split mode -> what it does. A set lists those that make sense for it in `DataSetInfo.splits`.
SPLIT_MODES = {
    "holdout": "D_val is held out of the training pool before the long tail is cut",
    "split_test": "D_val is one stratified half of the test set, the other half is reported",
    "own": "D_val is the set's own validation set",
    "paper": "D_val is the test set itself, as in many papers; tables are stamped 'selected on test'",
}

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


def split_sets(raw: RawData, info: DataSetInfo, split: str) -> tuple[ImageSet, ImageSet, ImageSet]:
    """Return (training pool, D_val, test) under a resolved split mode.

    Raises:
        DataError: a class with too few images to hold out.
    """
    n_classes = len(info.class_names)
    rng = np.random.RandomState(SPLIT_SEED)
    if split == "holdout":
        held = cut(raw.pool.labels, (info.n_holdout,) * n_classes, rng)
        return raw.pool.take(_rest(held, len(raw.pool))), raw.pool.take(held), raw.test
    if split == "split_test":
        per_class = np.bincount(raw.test.labels, minlength=n_classes)
        half = cut(raw.test.labels, (per_class // 2).tolist(), rng)
        return raw.pool, raw.test.take(half), raw.test.take(_rest(half, len(raw.test)))
    assert split == "paper", split
    return raw.pool, raw.test, raw.test


def _rest(taken: NDArray[np.int64], n_total: int) -> NDArray[np.int64]:
    return np.setdiff1d(np.arange(n_total), taken)
