"""What tests of trials in legs share: a tiny world, a configuration for it, and how legs are read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ray.tune import Trainable

from tests.trainables.bands import band_images
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.data.images.view_rule import ViewRule
from trainables.cckd.teacher.readout import TeacherState

EPOCHS = 5  # rungs 2, 3, 4, 5
FLAT = {"method": "acckd", "epochs": EPOCHS, "batch_size": 16, "lr": 0.05, "seed": 3}


def config_of(folder: Path, number: int | str, attempt: int, export: Any, **changes: Any) -> dict[str, Any]:
    return {
        "number": number,
        "attempt": attempt,
        "config": FLAT | changes,
        "checkpoints": str(folder / "checkpoints"),
        "export": export,
    }


def run_legs(trial: Trainable) -> list[dict[str, Any]]:
    legs = []
    while not legs or not legs[-1]["done"]:
        legs.append(trial.step())
        assert len(legs) <= EPOCHS, "a leg must advance"
    return legs


def outcome_of(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """All of a record but the seconds."""
    val = record["val"]
    counts = None if val is None else (tuple(val["correct"]), tuple(val["seen"]))
    return record["epoch"], record["losses"], record["lr"], counts


def outcomes_of(legs: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [outcome_of(record) for leg in legs for record in leg["records"]]


def tiny_world() -> TrialData:
    """42 images of 8x8 in 3 classes, each with its own bright band, and a teacher that knows them."""
    rng = np.random.default_rng(0)
    counts, n_views, n_features = (24, 12, 6), 2, 5

    train_images, train_labels = band_images(rng, counts)
    val_images, val_labels = band_images(rng, (8, 8, 8))
    n_train = len(train_labels)
    views = np.zeros((n_train, n_views, 5), np.int16)
    views[..., 2:4] = 8
    return TrialData(
        name="bands",
        class_names=("top", "middle", "bottom"),
        train_images=train_images,
        train_labels=train_labels,
        val_images=val_images,
        val_labels=val_labels,
        views=views,
        view_rule=ViewRule(padding=1),
        teacher_features=rng.normal(size=(n_train, n_views, n_features)).astype(np.float16),
        teacher_log_prior=np.log(np.array([0.5, 0.3, 0.2])),
        pixel_mean=train_images.mean(axis=(0, 2, 3)) / 255,
        pixel_std=train_images.std(axis=(0, 2, 3)) / 255,
        teacher=TeacherState(
            name="stub",
            size=8,
            weight=np.eye(3, n_features, dtype=np.float32),
            bias=np.zeros(3, np.float32),
            feature_mean=np.zeros(n_features, np.float32),
            feature_std=np.ones(n_features, np.float32),
        ),
    )
