"""digits_lt: scikit-learn's 1,797 handwritten digits of 8x8 pixels, for tests and smoke runs."""

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from trainables.cckd.data.images.sets import DataSetInfo, ImageSet, OptionValue, RawData
from trainables.cckd.long_tail import cut
from trainables.cckd.recipe import quick

N_TEST = 40  # per class; the set has no test part of its own
_BRIGHTEST = 16  # scikit-learn keeps pixels as 0..16
_SIDE = 8

#: One row per image: its pixels, then its label. A test compares it with `load_digits`.
_FILE = "datasets/data/digits.csv.gz"


def read_digits(data_root: Path, download: bool, options: Mapping[str, OptionValue]) -> RawData:
    """Read the digits that scikit-learn ships; 40 per class become the test set. No data root or network is needed."""
    *found, labels = np.loadtxt(_shipped_file(), delimiter=",", dtype=np.int64).T
    pixels = np.rint(np.stack(found, axis=1) * (255 / _BRIGHTEST)).astype(np.uint8)
    every = ImageSet(pixels.reshape(-1, 1, _SIDE, _SIDE), labels)
    tested = cut(every.labels, (N_TEST,) * 10, np.random.RandomState(0))
    pooled = np.setdiff1d(np.arange(len(every)), tested)
    return RawData(every.take(pooled), every.take(tested), "scikit-learn's load_digits")


def _shipped_file() -> Path:
    """The file that scikit-learn's `load_digits` reads. Importing scikit-learn takes longer than planning a study."""
    spec = find_spec("sklearn")
    assert spec is not None, "scikit-learn is installed with this program"
    assert spec.submodule_search_locations is not None, "it is a package"
    return Path(spec.submodule_search_locations[0], _FILE)


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
    length="measured",
    length_at={"n_max": (90,), "ir": (20.0,), "imb_type": ("exp",)},
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
