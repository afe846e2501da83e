"""Configurations that differ in all that fused trials may differ in."""

from collections.abc import Callable
from typing import Any

import pytest

from trainables.cckd.config import TrialConfig
from trainables.cckd.methods import KNOBS, used_knobs

#: What the trials of a test differ in; a knob that the method does not use is left out.
VARIANTS: tuple[dict[str, Any], ...] = (
    {"seed": 3, "lr": 0.03, "tau": 1.0, "temperature": 2.0, "estimator": "batch", "mix_op": "mixup"},
    {
        "seed": 4,
        "lr": 0.02,
        "momentum": 0.5,
        "weight_decay": 2e-3,
        "tau": 0.7,
        "temperature": 4.0,
        "estimator": "prior",
        "kd_weight": 0.4,
        "cckd_weight": 0.6,
        "mix_weight": 0.8,
        "mix_alpha": 1.5,
        "mix_op": "cutmix",
        "cckd_mix_weight": 1.3,
        "feature_weight": 0.3,
    },
    {"seed": 5, "lr": 0.03, "momentum": 0.0, "schedule": "cosine", "estimator": "batch", "mix_op": "cutmix"},
)


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """In all tests of this folder."""


@pytest.fixture(scope="session")
def make_configs() -> Callable[..., list[TrialConfig]]:
    """Return a function that builds three configurations of a method; `changes` are made to all of them."""
    return _make_configs


def _make_configs(method: str, **changes: Any) -> list[TrialConfig]:
    # 10 epochs of 2 steps of 16 of the 42 images: 20 steps.
    common = {"method": method, "epochs": 10, "batch_size": 16} | changes
    used = used_knobs(method, use_kd=changes.get("use_kd") is True)
    return [
        TrialConfig.build({key: value for key, value in variant.items() if key in used or key not in KNOBS} | common)
        for variant in VARIANTS
    ]
