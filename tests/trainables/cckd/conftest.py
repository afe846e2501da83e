"""A small synthetic world: three classes of 8x8 images with a bright band, and a teacher that knows them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from tests.trainables.bands import band_images
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.data.images.crops import draw_crops
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.view_rule import ViewRule
from trainables.cckd.students import cifar_net
from trainables.cckd.teacher.readout import TeacherState

COUNTS = (24, 12, 6)
N_VIEWS = 3
N_FEATURES = 5


@pytest.fixture(scope="session")
def make_trial_data() -> Callable[..., TrialData]:
    """Return a function that builds a `TrialData`: 42 training images in 3 classes, 10 a class for val."""
    return _make_trial_data


@pytest.fixture(scope="session")
def trial_data(make_trial_data: Callable[..., TrialData]) -> TrialData:
    """The same world for every test, its arrays read-only as Ray's object store lends them."""
    data = make_trial_data()
    for value in vars(data).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return data


@pytest.fixture
def smooth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CIFAR students with SiLU for ReLU."""

    def silu(x: Tensor, inplace: bool = False) -> Tensor:
        return F.silu(x, inplace=inplace)

    monkeypatch.setattr(cifar_net, "F", SimpleNamespace(**vars(F) | {"relu": silu}))


def _make_trial_data(*, seed: int = 0, n_channels: int = 1) -> TrialData:
    rng = np.random.default_rng(seed)
    train_images, train_labels = band_images(rng, COUNTS, n_channels)
    val_images, val_labels = band_images(rng, (10, 10, 10), n_channels)
    n_train, n_classes = len(train_labels), len(COUNTS)
    views = np.zeros((n_train, N_VIEWS, 5), np.int16)
    views[..., :2] = rng.integers(-1, 2, (n_train, N_VIEWS, 2))
    views[..., 2:4] = 8
    views[..., 4] = rng.integers(0, 2, (n_train, N_VIEWS))
    features = rng.normal(size=(n_train, N_VIEWS, N_FEATURES))
    features[..., :n_classes] += 3.0 * np.eye(n_classes)[train_labels][:, None]
    teacher = TeacherState(
        name="stub",
        size=8,
        weight=np.eye(n_classes, N_FEATURES, dtype=np.float32),  # the first features are the logits
        bias=np.zeros(n_classes, np.float32),
        feature_mean=np.zeros(N_FEATURES, np.float32),
        feature_std=np.ones(N_FEATURES, np.float32),
    )
    return TrialData(
        name="bands",
        class_names=("top", "middle", "bottom"),
        train_images=train_images,
        train_labels=train_labels,
        val_images=val_images,
        val_labels=val_labels,
        views=views,
        view_rule=ViewRule(padding=2),
        teacher_features=features.astype(np.float16),
        teacher_log_prior=np.log(np.array([0.5, 0.3, 0.2])),
        pixel_mean=train_images.mean(axis=(0, 2, 3)) / 255,
        pixel_std=train_images.std(axis=(0, 2, 3)) / 255,
        teacher=teacher,
    )


@pytest.fixture(scope="session")
def image_files(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    """42 small JPEG, PNG and grey PNG files of different sizes in 3 classes of 24, 12 and 6."""
    root = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(COUNTS)), COUNTS).astype(np.int64)
    sizes = rng.integers(24, 64, (len(labels), 2)).astype(np.int32)
    paths = []
    for number, (label, (height, width)) in enumerate(zip(labels, sizes, strict=True)):
        pixels = rng.integers(0, 120, (height, width, 3)).astype(np.uint8)
        pixels[height * label // 3 : height * (label + 1) // 3] += 100
        kind = "L" if number % 7 == 3 else "RGB"
        path = f"{number}.{'png' if number % 3 == 0 or kind == 'L' else 'jpg'}"
        Image.fromarray(pixels).convert(kind).save(root / path, quality=90)
        paths.append(path)
    return replace(ImageFiles.listed(root, paths, labels), sizes=sizes)


@pytest.fixture(scope="session")
def file_data(make_trial_data: Callable[..., TrialData], image_files: ImageFiles) -> TrialData:
    """The synthetic world with images in files, seen at 16 pixels; D_val is the first of every class."""
    held = image_files.take(np.array([0, 1, 24, 25, 36, 37]))
    return replace(
        make_trial_data(),
        train_images=image_files,
        train_labels=image_files.labels,
        val_images=held,
        val_labels=held.labels,
        views=draw_crops(image_files.sizes, N_VIEWS, flip=True, seed=0),
        pixel_mean=np.full(3, 0.4),
        pixel_std=np.full(3, 0.2),
        size=16,
    )


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread of torch's for the test, and as many as before behind it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
