"""Trial data of a real set's shapes and class counts but random content: an epoch costs the same, no file needed."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig, step_shape
from trainables.cckd.data.images.view_rule import ViewRule
from trainables.cckd.long_tail import class_counts
from trainables.cckd.precision import StepShape
from trainables.cckd.teacher.readout import TeacherState

N_VIEWS, N_FEATURES = 8, 1280

#: Epochs of a trial that outlasts any benchmark, so that no measured epoch is a rung, which evaluates.
ENDLESS = 1_000_000


@dataclass(frozen=True)
class Shape:
    """Class counts and pixels of a set, and the student that is trained on such.

    Attributes:
        n_max, ir: training images of the largest class, and how many times the smallest class's that is.
        size: side of the images, pixels.
        padding: pixels a view may be shifted by.
        val_per_class: images of D_val a class.
        n_classes, n_channels: of the images.
        student: of the benchmarks on this shape.
    """

    n_max: int
    ir: float
    size: int
    padding: int
    val_per_class: int
    n_classes: int = 10
    n_channels: int = 1
    student: str = "resnet8_cifar"


SHAPES = {
    "fashion_mnist_lt": Shape(n_max=200, ir=50, size=28, padding=2, val_per_class=100),
    "digits_lt": Shape(n_max=90, ir=20, size=8, padding=1, val_per_class=40),
    "cifar100_lt": Shape(
        n_max=500, ir=100, size=32, padding=4, val_per_class=10, n_classes=100, n_channels=3, student="resnet32_cifar"
    ),
}

#: Those that studies are run on; CIFAR's shape is there for its student's step, which takes seconds on a CPU.
STUDIED = ("fashion_mnist_lt", "digits_lt")


def step_of(shape: Shape, method: str, **settings: Any) -> StepShape:
    """Return the training step of a trial of `method` with these settings on images of `shape`."""
    config = TrialConfig.build({"method": method, "student": shape.student, **settings})
    return step_shape(config, shape.n_classes, (shape.n_channels, shape.size, shape.size))


def random_trial_data(shape: Shape) -> TrialData:
    """Return data of `shape` with the embedded teacher's number of features."""
    rng = np.random.default_rng(0)
    classes, per_class = np.arange(shape.n_classes), class_counts(shape.n_max, shape.n_classes, shape.ir)
    labels = rng.permutation(np.repeat(classes, per_class))
    val_labels = np.repeat(classes, shape.val_per_class)
    n_train, image = len(labels), (shape.n_channels, shape.size, shape.size)
    views = np.zeros((n_train, N_VIEWS, 5), np.int16)
    views[..., :2] = rng.integers(-shape.padding, shape.padding + 1, (n_train, N_VIEWS, 2))
    views[..., 2:4] = shape.size
    views[..., 4] = rng.integers(0, 2, (n_train, N_VIEWS))
    # Drawn for some images and repeated: the draws would take longer than the benchmarks.
    features = rng.normal(size=(min(n_train, 500), N_VIEWS, N_FEATURES)).astype(np.float16)
    return TrialData(
        name="random",
        class_names=tuple(f"class {number}" for number in classes),
        train_images=rng.integers(0, 256, (n_train, *image), np.uint8),
        train_labels=labels.astype(np.int64),
        val_images=rng.integers(0, 256, (len(val_labels), *image), np.uint8),
        val_labels=val_labels.astype(np.int64),
        views=views,
        view_rule=ViewRule(padding=shape.padding),
        teacher_features=np.resize(features, (n_train, N_VIEWS, N_FEATURES)),
        teacher_log_prior=np.full(shape.n_classes, -np.log(shape.n_classes)),
        pixel_mean=np.full(shape.n_channels, 0.5),
        pixel_std=np.full(shape.n_channels, 0.3),
        teacher=TeacherState(
            name="none",
            size=shape.size,
            weight=(rng.normal(size=(shape.n_classes, N_FEATURES)) / N_FEATURES**0.5).astype(np.float32),
            bias=np.zeros(shape.n_classes, np.float32),
            feature_mean=np.zeros(N_FEATURES, np.float32),
            feature_std=np.ones(N_FEATURES, np.float32),
        ),
    )
