"""The losses of each method's first epoch on digits_lt are the committed ones, on any processor.

After a change that is meant to change them, from the project's root:

    python -m tests.whole.test_first_epoch_losses > tests/whole/first_epoch_losses.txt
"""

from pathlib import Path

import numpy as np
import pytest

from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.images.view_rule import ViewRule
from trainables.cckd.data.images.views import draw_views
from trainables.cckd.data.load import load_data
from trainables.cckd.data.spec import parse_data
from trainables.cckd.methods import METHODS
from trainables.cckd.teacher.readout import TeacherState
from trainables.cckd.training.trainer import Trainer

COMMITTED = Path(__file__).with_name("first_epoch_losses.txt")
N_VIEWS, N_OTHERS = 2, 16


@pytest.fixture(scope="module")
def digits() -> TrialData:
    return _digits()


@pytest.mark.parametrize("method", METHODS)
def test_the_first_epochs_losses_are_the_committed_ones(digits: TrialData, method: str) -> None:
    assert _losses(digits, method) == pytest.approx(_committed()[method], rel=1e-3)


def test_every_method_has_committed_losses() -> None:
    assert list(_committed()) == list(METHODS)


def _losses(data: TrialData, method: str) -> dict[str, float]:
    # A small rate: at the default one the first steps of some methods amplify rounding beyond any useful tolerance.
    config = TrialConfig.build({"method": method, "epochs": 3, "lr": 0.02, "seed": 0})
    return Trainer(config, data, precision="float32").run_epoch().losses


def _committed() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for line in COMMITTED.read_text().splitlines():
        if not line.startswith("#"):
            method, term, value = line.split()
            found.setdefault(method, {})[term] = float(value)
    return found


def _digits() -> TrialData:
    """digits_lt with a teacher made of quarters: half precision holds them exactly, so no processor rounds them.

    Its first features are its logits, and the others only serve imitation.
    """
    data = load_data(parse_data("digits_lt"), data_root=Path("/nonexistent"), download=False)
    rng = np.random.default_rng(0)
    n_train, n_classes = len(data.train), len(data.class_names)
    knows = 3 * np.eye(n_classes)[data.train.labels][:, None]
    noise = rng.integers(-6, 7, (n_train, N_VIEWS, n_classes)) / 4
    others = rng.integers(-8, 9, (n_train, N_VIEWS, N_OTHERS)) / 4
    n_features = n_classes + N_OTHERS
    pixels = data.train.images / 255
    return TrialData(
        name="digits_lt",
        class_names=data.class_names,
        train_images=data.train.images,
        train_labels=data.train.labels,
        val_images=data.val.images,
        val_labels=data.val.labels,
        views=draw_views(n_train, N_VIEWS, padding=1, flip=False, height=8, width=8, seed=0),
        view_rule=ViewRule(padding=1, flip=False),
        teacher_features=np.concatenate([knows + noise, others], axis=-1).astype(np.float16),
        teacher_log_prior=np.log(np.array(data.counts) / n_train),
        pixel_mean=pixels.mean(axis=(0, 2, 3)),
        pixel_std=pixels.std(axis=(0, 2, 3)),
        teacher=TeacherState(
            name="stand-in",
            size=8,
            weight=np.eye(n_classes, n_features, dtype=np.float32),
            bias=np.zeros(n_classes, np.float32),
            feature_mean=np.zeros(n_features, np.float32),
            feature_std=np.ones(n_features, np.float32),
        ),
    )


if __name__ == "__main__":
    print("# method, term, mean over the first epoch in float32; what made this file: test_first_epoch_losses.py")
    for method in METHODS:
        for term, value in _losses(_digits(), method).items():
            print(f"{method} {term} {value:.7g}")
