"""fashion_mnist_lt: photographs of clothing, 28x28 grey (Xiao, Rasul and Vollgraf, arXiv 1708.07747)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from trainables.cckd.data.images.sets import DataSetInfo, ImageSet, OptionValue, RawData
from trainables.cckd.data.sources.fetch import debian_fetcher, torchvision_fetcher
from trainables.cckd.data.sources.idx import read_idx
from trainables.cckd.data.sources.locate import locate
from trainables.cckd.errors import DataError
from trainables.cckd.recipe import quick

#: Where torchvision keeps the files under its root; downloads are put there.
RAW_FOLDER = Path("FashionMNIST") / "raw"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

#: torchvision's names, in label order.
CLASS_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

_FILES = {
    "pool": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_NAMES = tuple(name for names in _FILES.values() for name in names)
_PACKED = tuple(f"{name}.gz" for name in _NAMES)

TORCHVISION = torchvision_fetcher("FashionMNIST", RAW_FOLDER, _PACKED, limit_s=180)
DEBIAN = debian_fetcher("dataset-fashion-mnist", DEBIAN_FOLDER.relative_to("/"), RAW_FOLDER, _PACKED)


def read_fashion_mnist(data_root: Path, download: bool, options: Mapping[str, OptionValue]) -> RawData:
    """Read the four idx files from the first place that has them.

    In order: torchvision's folder under `data_root`; Debian's package dataset-fashion-mnist; where `download`
    allows, torchvision's download and then Debian's archive, both put into torchvision's folder.

    Raises:
        DataUnavailableError: no place had them; lists the places.
        DataError: a file with unexpected content.
    """
    raw_folder = data_root / RAW_FOLDER
    folder, source = locate(
        "fashion_mnist_lt",
        {"torchvision's folder": raw_folder, "Debian's dataset-fashion-mnist": DEBIAN_FOLDER},
        _missing,
        fetchers=(TORCHVISION, DEBIAN),
        data_root=data_root,
        download=download,
        advice=f"install Debian's package dataset-fashion-mnist or put {', '.join(_PACKED)} into {raw_folder}",
    )
    arrays = {name: read_idx(next(path for path in _candidates(folder, name) if path.is_file())) for name in _NAMES}
    sets = {part: _image_set(folder, arrays[images], arrays[labels]) for part, (images, labels) in _FILES.items()}
    return RawData(sets["pool"], sets["test"], source)


def _missing(folder: Path) -> list[str]:
    return [name for name in _NAMES if not any(path.is_file() for path in _candidates(folder, name))]


def _candidates(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / name, folder / f"{name}.gz"


def _image_set(folder: Path, images: np.ndarray, labels: np.ndarray) -> ImageSet:
    if images.shape != (len(labels), 28, 28) or labels.ndim != 1 or (labels >= len(CLASS_NAMES)).any():
        raise DataError(
            f"{folder} must hold 28x28 images, each with a label in 0..9; got images {images.shape}, "
            f"labels {labels.shape} up to {labels.max(initial=0)}"
        )
    return ImageSet(images[:, None], labels.astype(np.int64))


#: Epochs, batch and rate were chosen on D_val, for la and kd, by benchmarks/training_length.py: of batches 16 and 32
#: and of peak rates from 0.05 to 0.45, this is the cheapest at which twice the length adds no more than seeds scatter.
#: A fresh view per epoch, as the field has: with 8 views the class-conditional methods lose two to three points in Few.
FIELD = replace(
    quick(60),
    name="field",
    source="our choice",
    batch_size=32,
    lr=0.15,
    teacher_views=60,
    sources=dict.fromkeys(("epochs", "batch_size", "lr", "teacher_views"), "our choice on D_val"),
    length="measured",
    length_at={"n_max": (200,), "ir": (50.0,), "imb_type": ("exp",)},
)

#: A sixth of the steps that train a student out.
_QUICK = replace(quick(10), batch_size=FIELD.batch_size, lr=FIELD.lr)

INFO = DataSetInfo(
    name="fashion_mnist_lt",
    description="Photographs of clothing, 28x28 grey, 10 classes, cut to a long tail (Fashion-MNIST).",
    class_names=CLASS_NAMES,
    options={"n_max": 200, "ir": 50.0, "imb_type": "exp"},
    recipes=(FIELD, _QUICK),
    splits=("holdout", "split_test", "paper"),
    n_holdout=100,
    padding=2,
    read=read_fashion_mnist,
)
