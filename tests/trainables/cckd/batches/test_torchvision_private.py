"""What torchvision_private.py relies on in torchvision."""

from unittest.mock import patch

import pytest
import torch
from torchvision.transforms import v2

from trainables.cckd.batches.torchvision_private import apply_operation, rand_operations, sub_policies

IMAGES = torch.randint(0, 256, (6, 3, 20, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_torchvision_still_draws_once_for_a_batch() -> None:
    torch.manual_seed(0)
    same = IMAGES[:1].expand(6, -1, -1, -1)
    for transform in (v2.RandAugment(), v2.AutoAugment()):
        for _ in range(5):
            changed = transform(same)
            assert torch.equal(changed, changed[:1].expand_as(changed))


@pytest.mark.parametrize("number", range(14))
def test_an_operation_is_torchvisions_own(number: int) -> None:
    operations = rand_operations(height=20, width=16)
    assert len(operations) == 14
    name, magnitudes = operations[number]
    for sign, magnitude in enumerate(magnitudes):
        # RandAugment draws the operation first, then the sign.
        with (
            patch("torch.randint", lambda *_: torch.tensor(number)),
            patch("torch.rand", lambda *_, sign=sign: torch.tensor(0.9 - 0.8 * sign)),
        ):
            expected = v2.RandAugment(num_ops=1)(IMAGES)
        assert torch.equal(apply_operation(name, magnitude, IMAGES), expected)


@pytest.mark.parametrize(
    ("small", "kind"), [(True, v2.AutoAugmentPolicy.CIFAR10), (False, v2.AutoAugmentPolicy.IMAGENET)]
)
def test_a_sub_policy_is_torchvisions_own(small: bool, kind: v2.AutoAugmentPolicy) -> None:
    policies = sub_policies(small_images=small, height=20, width=16)
    assert len(policies) == 25
    for number, policy in enumerate(policies):
        # Every operation happens, with the second sign where it has two.
        with (
            patch("torch.randint", lambda *_, at=number: torch.tensor(at)),
            patch("torch.rand", lambda *_: torch.tensor(0.0)),
        ):
            expected = v2.AutoAugment(kind)(IMAGES)
        found = IMAGES
        for (name, magnitudes), _ in policy:
            found = apply_operation(name, magnitudes[-1], found)
        assert torch.equal(found, expected)
