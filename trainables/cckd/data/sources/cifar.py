"""cifar10_lt and cifar100_lt: 32x32 colour photographs (Krizhevsky, 2009), with the long tail of the LDAM release."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from trainables.cckd.data.images.sets import DataSetInfo, ImageSet, OptionValue, RawData
from trainables.cckd.data.sources.cifar_pickle import load_batch
from trainables.cckd.data.sources.fetch import Fetcher, torchvision_fetcher
from trainables.cckd.data.sources.locate import locate
from trainables.cckd.errors import DataError
from trainables.cckd.recipe import Recipe, quick

#: Class names in label order, as the meta files give them; of CIFAR-100 the fine labels.
CIFAR10_CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())  # noqa: SIM905

CIFAR100_CLASSES = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """.split()  # noqa: SIM905 - a hundred names are checked more easily as a text than as a column
)

_SHAPE = (3, 32, 32)  # of an image; a row of the file holds its bytes in this order


def read_batch(path: Path, label_key: str, n_classes: int) -> ImageSet:
    """Read one batch file: a dictionary with `data` uint8 (N, 3072) and the labels under `label_key`.

    Raises:
        DataError: not such a file, or labels beyond the classes; names the file.
    """
    batch = load_batch(path)
    if not {"data", label_key} <= batch.keys():
        raise DataError(f"{path} must be a CIFAR batch, a dictionary with data and {label_key}; got {[*batch]}")
    rows, labels = batch["data"], batch[label_key]
    if not isinstance(labels, list) or not labels or not all(type(label) is int for label in labels):
        raise DataError(f"{path} must hold a list of whole numbers under {label_key}")
    if min(labels) < 0 or max(labels) >= n_classes:
        raise DataError(f"{path} must hold labels in 0..{n_classes - 1}; got {min(labels)}..{max(labels)}")
    wanted = (len(labels), prod(_SHAPE))
    if not isinstance(rows, np.ndarray) or rows.shape != wanted:
        raise DataError(f"{path} must hold bytes of shape {wanted}; got {getattr(rows, 'shape', type(rows).__name__)}")
    return ImageSet(rows.reshape(-1, *_SHAPE), np.array(labels, np.int64))


def _read(
    data_root: Path,
    download: bool,
    options: Mapping[str, OptionValue],
    *,
    name: str,
    fetcher: Callable[[], Fetcher],
    train: tuple[str, ...],
    test: str,
    label_key: str,
    n_classes: int,
) -> RawData:
    """Read the training files, in torchvision's order, and the test file."""
    fetch = fetcher()
    own = data_root / fetch.target
    folder, source = locate(
        name,
        {"torchvision's folder": own},
        lambda folder: [file for file in fetch.names if not (folder / file).is_file()],
        fetchers=(fetch,),
        data_root=data_root,
        download=download,
        advice=f"unpack the published archive of Python files so that {own} holds {', '.join(fetch.names)}",
    )
    batches = [read_batch(folder / file, label_key, n_classes) for file in train]
    pool = ImageSet(
        np.concatenate([batch.images for batch in batches]), np.concatenate([batch.labels for batch in batches])
    )
    return RawData(pool, read_batch(folder / test, label_key, n_classes), source)


_TRAIN10 = tuple(f"data_batch_{number}" for number in range(1, 6))
FETCH10 = torchvision_fetcher("CIFAR10", Path("cifar-10-batches-py"), (*_TRAIN10, "test_batch"), limit_s=900)
FETCH100 = torchvision_fetcher("CIFAR100", Path("cifar-100-python"), ("train", "test"), limit_s=900)


#: Cao et al., arXiv 1906.07413, section 4 and its code. Its augmentation, shifts of up to 4 pixels and mirrors, is that
#: of every view of these sets.
FIELD = Recipe(
    name="field",
    source="LDAM, kaidic/LDAM-DRW, cifar_train.py",
    student="resnet32_cifar",
    epochs=200,
    batch_size=128,
    lr=0.1,
    momentum=0.9,
    nesterov=False,
    weight_decay=2e-4,
    schedule="step",
    teacher_views=20,
    sources={"teacher_views": "our choice: a student sees each view ten times, and 20 fit in memory"},
    length="published",
)

#: The tails that are published with this recipe: all images of the first class, and 10 or 100 times as many as of the
#: last; in later papers 50 times as many, too.
_PUBLISHED_AT: Mapping[str, tuple[OptionValue, ...]] = {"ir": (10.0, 50.0, 100.0), "imb_type": ("exp", "step")}


def _info(
    name: str, description: str, class_names: tuple[str, ...], options: Mapping[str, OptionValue], **files: Any
) -> DataSetInfo:
    field = replace(FIELD, length_at={"n_max": (options["n_max"],), **_PUBLISHED_AT})
    return DataSetInfo(
        name=name,
        description=description,
        class_names=class_names,
        options=options,
        recipes=(field, quick(20)),
        splits=("split_test", "holdout", "paper"),
        n_holdout=5000 // len(class_names),  # a tenth of the training images
        padding=4,
        read=partial(_read, name=name, n_classes=len(class_names), **files),
    )


CIFAR10 = _info(
    "cifar10_lt",
    "Photographs of animals and vehicles, 32x32 colour, 10 classes, cut to a long tail (CIFAR-10-LT).",
    CIFAR10_CLASSES,
    {"n_max": 5000, "ir": 100.0, "imb_type": "exp"},
    fetcher=lambda: FETCH10,
    train=_TRAIN10,
    test="test_batch",
    label_key="labels",
)

CIFAR100 = _info(
    "cifar100_lt",
    "Photographs of things and beings, 32x32 colour, 100 classes, cut to a long tail (CIFAR-100-LT). "
    "With groups=ir100 the classes keep the groups they have at n_max=500, ir=100.",
    CIFAR100_CLASSES,
    {"n_max": 500, "ir": 100.0, "imb_type": "exp", "groups": "counts"},
    fetcher=lambda: FETCH100,
    train=("train",),
    test="test",
    label_key="fine_labels",
)
