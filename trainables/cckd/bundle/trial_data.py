"""All data of a study that a trial needs, as numpy arrays: made once per study, read by every trial.

It pickles without torch and may hold read-only arrays, so that Ray's object store can share it without a copy.
"""

from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.bundle.mapped_features import RawFeatures
from trainables.cckd.data.images.decoded_images import Images, RaggedImages
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.view_rule import ViewRule
from trainables.cckd.errors import DataError
from trainables.cckd.teacher.fit.folds import FoldReadouts
from trainables.cckd.teacher.readout import TeacherState


@dataclass(frozen=True, eq=False)
class TestData:
    """The images that a finished model is tested on, with int64 labels (N,)."""

    __test__ = False  # pytest: not a test class

    images: Images
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TrialData:
    """Data and cached teacher outputs of a study.

    Attributes:
        name: name of the data set.
        class_names: C names, in label order.
        train_images, train_labels: uint8 (N, Ch, H, W) or a source of colour images, and int64 (N,), the
            long-tailed training set.
        val_images, val_labels: the same for the M images that a study selects on.
        views: int16 (N, V, 5), one row per view: top, left, height, width in pixels of the image, then 1 where the
            view is flipped left to right. Views of an array are as large as its images and may reach outside, where
            pixels are zero. Views of a source lie inside and are resized to `size`. The teacher saw these views.
        view_rule: how views are drawn. A trial that reads nothing of the teacher draws fresh ones in every epoch.
        teacher_features: standardised features of these views, float16 (N, V, D); raw in their file where they are too
            large to copy.
        teacher_log_prior: float64 (C,), log p^t.
        pixel_mean, pixel_std: (Ch,), of the training images as fractions 0-1.
        teacher: the fitted teacher. Its logits of the views are formed from `teacher_features`.
        fold_readouts: what judges the training views instead, where targets are out of fold.
        size: side of the student's square input, pixels, where images come from a source; None for arrays.

    Raises:
        DataError: arrays that do not fit together; `faults` lists every misfit.
    """

    name: str
    class_names: tuple[str, ...]
    train_images: Images
    train_labels: NDArray[np.int64]
    val_images: Images
    val_labels: NDArray[np.int64]
    views: NDArray[np.int16]
    view_rule: ViewRule
    teacher_features: NDArray[np.float16] | RawFeatures
    teacher_log_prior: NDArray[np.float64]
    pixel_mean: NDArray[np.float64]
    pixel_std: NDArray[np.float64]
    teacher: TeacherState
    fold_readouts: FoldReadouts | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        faults = [*_shape_faults(self), *_label_faults(self)]
        if faults:
            raise DataError(faults)

    @property
    def n_classes(self) -> int:
        """C, the number of classes."""
        return len(self.class_names)

    @property
    def n_views(self) -> int:
        """V, the number of cached views of each training image."""
        return self.views.shape[1]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(Ch, H, W) of the student's input."""
        _, channels, height, width = _stacked_shape(self.train_images, self.size)
        return channels, height, width

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of training images of each class, n, int64 (C,)."""
        return np.bincount(self.train_labels, minlength=self.n_classes).astype(np.int64)


def _shape_faults(data: TrialData) -> list[str]:
    n_train, n_val, n_classes = len(data.train_images), len(data.val_images), data.n_classes
    if data.size is None and not isinstance(data.train_images, np.ndarray):
        return ["size must be given where images come from a source; got None"]
    image = tuple(_stacked_shape(data.train_images, data.size)[1:])
    wanted: dict[str, tuple[int | str, ...]] = {
        "train_images": (n_train, "Ch", "H", "W"),
        "train_labels": (n_train,),
        "val_images": (n_val, *image),
        "val_labels": (n_val,),
        "views": (n_train, "V", 5),
        "teacher_features": (n_train, *data.views.shape[1:2], "D"),
        "teacher_log_prior": (n_classes,),
        "pixel_mean": (*image[:1],),
        "pixel_std": (*image[:1],),
        "teacher.weight": (n_classes, "K"),
        "teacher.feature_mean": (*data.teacher_features.shape[2:],),
    }
    if data.fold_readouts is not None:
        n_folds = len(data.fold_readouts)
        wanted |= {
            "fold_readouts.weight": (n_folds, *data.teacher.weight.shape),
            "fold_readouts.bias": (n_folds, n_classes),
            "fold_readouts.fold_of": (n_train,),
        }
    found = {name: _stacked_shape(attrgetter(name)(data), data.size) for name in wanted}
    return [
        f"{name} must have shape {_shape(shape)}; got {_shape(found[name])}"
        for name, shape in wanted.items()
        if len(found[name]) != len(shape)
        or any(isinstance(want, int) and want != got for want, got in zip(shape, found[name], strict=True))
    ]


def _stacked_shape(images: Images | NDArray[np.generic] | RawFeatures, size: int | None) -> tuple[int, ...]:
    """Return the shape of an array, or of a source's images when they are cut out: (N, 3, size, size)."""
    if not isinstance(images, ImageFiles | RaggedImages):
        return tuple(images.shape)
    assert size is not None, "a source has no size of its own"
    return len(images), 3, size, size


def _label_faults(data: TrialData) -> list[str]:
    faults = []
    for name in ("train_labels", "val_labels"):
        labels = getattr(data, name)
        if labels.size == 0 or labels.min() < 0 or labels.max() >= data.n_classes:
            found = "none" if labels.size == 0 else f"{labels.min()} to {labels.max()}"
            faults.append(f"{name} must lie in 0 to {data.n_classes - 1}; got {found}")
    missing = np.setdiff1d(np.arange(data.n_classes), data.train_labels)
    if missing.size:
        faults.append(f"every class needs a training image; none in classes {', '.join(map(str, missing))}")
    return faults


def _shape(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
