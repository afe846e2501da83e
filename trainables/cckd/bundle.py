"""All a trial needs to know about the world, as numpy arrays: made once a study, read by every trial.

Pickles without torch and may hold read-only arrays, so that Ray's object store can lend it without a copy.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.errors import DataError


@dataclass(frozen=True, eq=False)
class TeacherState:
    """The fitted teacher apart from its backbone's weights, which each machine finds for itself.

    Attributes:
        name: timm name of the backbone.
        size: side of the teacher's square input, pixels.
        weight, bias: the probe on standardised features, float32 (C, D) and (C,).
        feature_mean, feature_std: what standardises a raw feature, float32 (D,) and (D,).
    """

    name: str
    size: int
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    feature_mean: NDArray[np.float32]
    feature_std: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TestData:
    """Images a finished model is judged on: uint8 (N, Ch, H, W) with int64 labels (N,)."""

    __test__ = False  # pytest: not a test class

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TrialData:
    """Data and cached teacher outputs of a study.

    Attributes:
        name: name of the data set.
        class_names: C names, in label order.
        train_images, train_labels: uint8 (N, Ch, H, W) and int64 (N,), the long-tailed training set.
        val_images, val_labels: uint8 (M, Ch, H, W) and int64 (M,), what a study selects on.
        views: int16 (N, V, 5), a row a view: top, left, height, width in pixels of the image (top and left
            may be negative: outside is zero), then 1 where the view is flipped left to right.
        teacher_logits: float16 (N, V, C), raw, of those views.
        teacher_features: float16 (N, V, D), standardised, of those views.
        teacher_log_prior: float64 (C,), log p^t of METHOD.md.
        pixel_mean, pixel_std: (Ch,), of the training images as fractions 0-1.
        teacher: what `forward` targets need beside the backbone.

    Raises:
        DataError: arrays that do not fit together; `faults` lists every misfit.
    """

    name: str
    class_names: tuple[str, ...]
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    val_images: NDArray[np.uint8]
    val_labels: NDArray[np.int64]
    views: NDArray[np.int16]
    teacher_logits: NDArray[np.float16]
    teacher_features: NDArray[np.float16]
    teacher_log_prior: NDArray[np.float64]
    pixel_mean: NDArray[np.float64]
    pixel_std: NDArray[np.float64]
    teacher: TeacherState

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
        """(Ch, H, W) of every image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @property
    def counts(self) -> NDArray[np.int64]:
        """Training images of each class, n of METHOD.md, int64 (C,)."""
        return np.bincount(self.train_labels, minlength=self.n_classes).astype(np.int64)

    @property
    def prior(self) -> NDArray[np.float64]:
        """The training prior p_tr = n / sum n, float64 (C,)."""
        return self.counts / self.counts.sum()


def _shape_faults(data: TrialData) -> list[str]:
    n_train, n_val, n_classes = len(data.train_images), len(data.val_images), data.n_classes
    image = tuple(data.train_images.shape[1:])
    wanted: dict[str, tuple[int | str, ...]] = {
        "train_images": (n_train, "Ch", "H", "W"),
        "train_labels": (n_train,),
        "val_images": (n_val, *image),
        "val_labels": (n_val,),
        "views": (n_train, "V", 5),
        "teacher_logits": (n_train, *data.views.shape[1:2], n_classes),
        "teacher_features": (n_train, *data.views.shape[1:2], "D"),
        "teacher_log_prior": (n_classes,),
        "pixel_mean": (*image[:1],),
        "pixel_std": (*image[:1],),
    }
    found = {name: tuple(getattr(data, name).shape) for name in wanted}
    return [
        f"{name} must have shape {_shape(shape)}; got {_shape(found[name])}"
        for name, shape in wanted.items()
        if len(found[name]) != len(shape)
        or any(isinstance(want, int) and want != got for want, got in zip(shape, found[name], strict=True))
    ]


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
