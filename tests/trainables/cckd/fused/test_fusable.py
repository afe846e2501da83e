"""Which students and trials are refused, and how they are told."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.cckd.bundle import TrialData
from trainables.cckd.cifar_net import CifarResNet
from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import ConfigError
from trainables.cckd.fused.fusable import layer_faults
from trainables.cckd.fused.learner import forward, stacked
from trainables.cckd.fused.trainer import FusedTrainer
from trainables.cckd.students import StudentNet, build_student
from trainables.cckd.trainer import Trainer


class _Doubting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class _Overwriting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        F.relu(x, inplace=True)
        return x


def _student(**kwargs: Any) -> StudentNet:
    net = CifarResNet(1, num_classes=3, in_chans=1, **kwargs)
    return StudentNet("resnet8_cifar", {}, net, n_features=64, small_stem=False)


@pytest.mark.parametrize(
    "name", ["resnet8_cifar", "resnet32_cifar", pytest.param("resnet18", marks=pytest.mark.slow), "test_vit"]
)
def test_a_student_that_can_be_fused_gives_each_trial_its_own_output(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        students = [build_student(name, 3, 1, 16) for _ in range(2)]
        images = [torch.randn(4, 1, 16, 16) for _ in students]
    assert layer_faults(students[0], (1, 16, 16)) == []
    tensors = {
        f"student.{key}": stacked([student.net.state_dict()[key] for student in students])
        for key in students[0].net.state_dict()
    }
    with torch.no_grad():
        logits, features = forward(students[0].train(), tensors, images)
        for trial, student in enumerate(students):
            wanted_logits, wanted_features = student.train()(images[trial])
            torch.testing.assert_close(logits[trial], wanted_logits, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(features[trial], wanted_features, atol=1e-4, rtol=1e-4)
            for key, tensor in student.net.state_dict().items():
                torch.testing.assert_close(tensors[f"student.{key}"][trial], tensor, atol=1e-5, rtol=1e-5)


def test_every_layer_that_draws_random_numbers_is_named_and_the_student_left_as_it_was() -> None:
    student = _student()
    student.net.bn1 = nn.Sequential(student.net.bn1, nn.Dropout(0.1))
    student.net.fc = nn.Sequential(nn.Dropout(0.2), student.net.fc)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    generator = torch.get_rng_state()
    faults = layer_faults(student, (1, 8, 8))
    assert [fault.split(" draws")[0] for fault in faults] == ["layer bn1.1 (Dropout)", "layer fc.0 (Dropout)"]
    assert torch.equal(generator, torch.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in student.state_dict().items())


def test_dropout_that_is_no_layer_is_refused_too() -> None:
    (fault,) = layer_faults(_student(drop_rate=0.5), (1, 8, 8))
    assert fault.startswith("layer forward (StudentNet) draws random numbers in training")


def test_a_layer_that_decides_by_its_values_is_named() -> None:
    student = _student()
    student.net.blocks.append(_Doubting())
    (fault,) = layer_faults(student, (1, 8, 8))
    assert fault.startswith("layer blocks.3 (_Doubting) cannot work on several trials at once: ")


def test_a_student_whose_logits_would_be_others_is_refused() -> None:
    # Activations never overwrite what they are given in fused training.
    student = _student()
    student.net.bn1 = nn.Sequential(student.net.bn1, _Overwriting(), nn.Conv2d(16, 16, 1))
    (fault,) = layer_faults(student, (1, 8, 8))
    assert fault == "student 'resnet8_cifar' gives other logits when several trials share its layers"


def test_all_that_trials_must_share_is_told_at_once(
    make_configs: Callable[..., list[TrialConfig]],
    make_trial_data: Callable[..., TrialData],
    trial_data: TrialData,
) -> None:
    first = make_configs("acckd")[0].flat()
    others = [
        first | {"student": "resnet20_cifar", "batch_size": 12},
        first | {"mix_ratio": 0.2},
        {"method": "la", "batch_size": 16, "epochs": 10},
    ]
    trainers = [Trainer(TrialConfig.build(flat), trial_data) for flat in (first, *others)]
    trainers.append(Trainer(TrialConfig.build(first), make_trial_data()))
    trainers.append(Trainer(TrialConfig.build(first), trial_data, precision="bfloat16"))
    with pytest.raises(ConfigError) as caught:
        FusedTrainer(trainers)
    assert caught.value.faults == (
        "fused trials must have the same student: trial 0 has 'resnet8_cifar', trial 1 'resnet20_cifar'",
        "fused trials must have the same batch_size: trial 0 has 16, trial 1 12",
        "fused trials must have the same mixed samples a step: trial 0 has 16, trial 1 12",
        "fused trials must have the same mixed samples a step: trial 0 has 16, trial 2 4",
        "fused trials must have the same loss terms: trial 0 has 'sup, cckd, sup_mix, cckd_mix, imitation', "
        "trial 3 'sup'",
        "fused trials must have the same mixed samples a step: trial 0 has 16, trial 3 0",
        "fused trials must train on the same data, device and precision; trial 4 does not share trial 0's",
        "fused trials must train on the same data, device and precision; trial 5 does not share trial 0's",
    )


def test_configurations_that_no_trainer_takes_are_told_with_their_position(
    make_configs: Callable[..., list[TrialConfig]], trial_data: TrialData
) -> None:
    good = make_configs("ce")[0].flat()
    bad = [TrialConfig.build(good | {"batch_size": size}) for size in (16, 43, 44)]
    with pytest.raises(ConfigError) as caught:
        FusedTrainer.build(bad, trial_data)
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["trial 1", "trial 2"]
    with pytest.raises(ConfigError, match="at least one trial; got none"):
        FusedTrainer.build([], trial_data)
