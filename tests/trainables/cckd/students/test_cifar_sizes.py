"""The closed forms of multiply-adds and parameters equal what torch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from trainables.cckd.students.build import OWN_STUDENTS, build_student
from trainables.cckd.students.cifar_sizes import cifar_multiply_adds, cifar_parameters


@pytest.mark.parametrize("name", OWN_STUDENTS)
@pytest.mark.parametrize(("n_classes", "channels", "size"), [(10, 1, 28), (100, 3, 32), (7, 3, 9)])
def test_the_closed_forms_are_what_torch_counts(name: str, n_classes: int, channels: int, size: int) -> None:
    student = build_student(name, n_classes, channels, size)
    with FlopCounterMode(display=False) as counter:
        student(torch.zeros(3, channels, size, size))
    assert cifar_parameters(name, n_classes, channels) == student.n_parameters
    # A multiply-add is two operations. torch counts no pooling and no addition.
    assert cifar_multiply_adds(name, n_classes, channels, size) == counter.get_total_flops() // (2 * 3)
