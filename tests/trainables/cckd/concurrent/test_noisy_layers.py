from typing import Any

import pytest
import torch
from torch import nn

from trainables.cckd.concurrent.noisy_layers import noisy_layers
from trainables.cckd.students.build import StudentNet, build_student
from trainables.cckd.students.cifar_net import CifarResNet


def _student(**kwargs: Any) -> StudentNet:
    net = CifarResNet(1, num_classes=3, in_chans=1, **kwargs)
    return StudentNet("resnet8_cifar", {}, net, n_features=64, small_stem=False)


@pytest.mark.parametrize("name", ["resnet8_cifar", "test_vit"])
def test_a_student_without_random_numbers_has_no_noisy_layer(name: str) -> None:
    assert noisy_layers(build_student(name, 3, 1, 16), (1, 16, 16)) == []


def test_every_layer_that_draws_random_numbers_is_named_and_the_student_left_as_it_was() -> None:
    student = _student()
    student.net.bn1 = nn.Sequential(student.net.bn1, nn.Dropout(0.1))
    student.net.fc = nn.Sequential(nn.Dropout(0.2), student.net.fc)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    generator = torch.get_rng_state()
    assert noisy_layers(student, (1, 8, 8)) == ["bn1.1 (Dropout)", "fc.0 (Dropout)"]
    assert torch.equal(generator, torch.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in student.state_dict().items())


def test_dropout_outside_any_layer_is_named_after_the_students_forward() -> None:
    assert noisy_layers(_student(drop_rate=0.5), (1, 8, 8)) == ["forward (StudentNet)"]
