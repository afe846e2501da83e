"""What trials trained as one must have in common with the same trials trained solo: everything but the time."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainables.cckd.bundle import TeacherState, TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import ConfigError
from trainables.cckd.fused.trainer import FusedTrainer
from trainables.cckd.methods import LADDER, used_knobs
from trainables.cckd.records import EpochRecord
from trainables.cckd.trainer import Trainer

#: What the trials of a test differ in; a knob that the method does not use is left out.
VARIANTS: tuple[dict[str, Any], ...] = (
    {"seed": 3, "lr": 0.05, "tau": 1.0, "temperature": 2.0, "estimator": "batch", "mix_op": "mixup"},
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
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _configs(method: str, variants: Sequence[dict[str, Any]] = VARIANTS, **changes: Any) -> list[TrialConfig]:
    # 10 epochs of 2 steps of 16 of the 42 images: 20 steps.
    common = {"method": method, "epochs": 10, "batch_size": 16}
    unused = {"tau", "temperature", "estimator", "mix_op"} | {name for name in VARIANTS[1] if "_weight" in name}
    unused = unused | {"mix_alpha"} - {"weight_decay"}
    used = {*used_knobs(method, use_kd=False), "weight_decay"}
    return [
        TrialConfig.build(
            common | {key: value for key, value in variant.items() if key in used or key not in unused} | changes
        )
        for variant in variants
    ]


def _numbers(record: EpochRecord) -> EpochRecord:
    return replace(record, losses={}, train_s=0.0, eval_s=0.0)


def _assert_equal_trials(fused: Trainer, solo: Trainer, *, atol: float = 1e-5) -> None:
    theirs, ours = fused.learner.tensors(), solo.learner.tensors()
    assert {name for name in ours} == {name for name in theirs}
    for name, tensor in ours.items():
        np.testing.assert_allclose(theirs[name].numpy(), tensor.numpy(), rtol=0, atol=atol, err_msg=name)
    assert [_numbers(record) for record in fused.records] == [_numbers(record) for record in solo.records]
    for mine, other in zip(fused.records, solo.records, strict=True):
        assert mine.losses == pytest.approx(other.losses, abs=atol)


@pytest.mark.parametrize("method", LADDER)
def test_twenty_steps_of_every_rung_equal_solo_training(trial_data: TrialData, method: str) -> None:
    configs = _configs(method)
    fused = FusedTrainer.build(configs, trial_data)
    epochs = list(fused)
    assert len(epochs) == 10
    assert all(records.keys() == {0, 1, 2} for records in epochs)
    for config, trial in zip(configs, fused.trials, strict=True):
        solo = Trainer(config, trial_data)
        list(solo)
        _assert_equal_trials(trial, solo)
