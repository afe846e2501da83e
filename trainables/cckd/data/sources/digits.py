"""digits_lt: scikit-learn's 1,797 handwritten digits of 8x8 pixels, for tests and smoke runs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from trainables.cckd.data.images.sets import DataSetInfo, ImageSet, OptionValue, RawData
from trainables.cckd.long_tail import cut
from trainables.cckd.recipe import quick

N_TEST = 40  # per class; the set has no test part of its own
_BRIGHTEST = 16  # scikit-learn keeps pixels as 0..16


def read_digits(data_root: Path, download: bool, options: Mapping[str, OptionValue]) -> RawData:
    """Read the digits that scikit-learn ships; 40 per class become the test set. No data root or network is needed."""
    from sklearn.datasets import load_digits  # takes a second; only this set needs it

    found = load_digits()
    pixels = np.rint(found.images * (255 / _BRIGHTEST)).astype(np.uint8)
    every = ImageSet(pixels[:, None], found.target.astype(np.int64))
    tested = cut(every.labels, (N_TEST,) * 10, np.random.RandomState(0))
    pooled = np.setdiff1d(np.arange(len(every)), tested)
    return RawData(every.take(pooled), every.take(tested), "scikit-learn's load_digits")


#: The batch and rate of fashion_mnist_lt, at the length at which la, kd, cckd and acckd are trained out on D_val
#: (benchmarks/training_length.py).
FIELD = replace(
    quick(120),
    name="field",
    source="our choice",
    batch_size=32,
    lr=0.15,
    teacher_views=30,
    sources={"epochs": "our choice on D_val"},
)

INFO = DataSetInfo(
    name="digits_lt",
    description="Handwritten digits, 8x8 grey, 10 classes, cut to a long tail; comes with scikit-learn.",
    class_names=tuple(str(digit) for digit in range(10)),
    options={"n_max": 90, "ir": 20.0, "imb_type": "exp"},
    recipes=(FIELD, quick(40)),
    splits=("holdout", "split_test", "paper"),
    n_holdout=40,
    padding=1,
    flip=False,
    read=read_digits,
)
