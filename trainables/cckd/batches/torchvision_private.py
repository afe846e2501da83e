"""The names of torchvision that are private; no other module uses one.

| name | why | the test that fails once it is needless or changed |
|---|---|---|
| `AutoAugment._get_policies`, `_AUGMENTATION_SPACE` | its public transform draws one policy for a whole batch | \
`test_torchvision_still_draws_once_for_a_batch` |
| `_apply_image_or_video_transform` | the operations by name, on any batch | `test_an_operation_is_torchvisions_own` |
"""

from collections.abc import Callable

from torch import Tensor
from torchvision.transforms.v2 import AutoAugment, AutoAugmentPolicy, InterpolationMode, RandAugment

#: Magnitudes per operation in AutoAugment's policies, and in RandAugment with the one that torchvision defaults to.
_POLICY_BINS = 10
_RAND_BINS, _RAND_MAGNITUDE = 31, 9

#: An operation, and its magnitudes: one, or two of opposite signs, equally likely.
Operation = tuple[str, tuple[float, ...]]

#: A sub-policy: operations in a row, each with its probability.
SubPolicy = tuple[tuple[Operation, float], ...]


def sub_policies(*, small_images: bool, height: int, width: int) -> list[SubPolicy]:
    """Return AutoAugment's 25 sub-policies: those found on CIFAR-10 for small images, else those of ImageNet."""
    kind = AutoAugmentPolicy.CIFAR10 if small_images else AutoAugmentPolicy.IMAGENET
    source = AutoAugment(kind)
    return [
        tuple(
            (_operation(source, name, _POLICY_BINS, bin_, height, width), probability)
            for name, probability, bin_ in policy
        )
        for policy in source._get_policies(kind)
    ]


def rand_operations(*, height: int, width: int) -> list[Operation]:
    """Return RandAugment's 14 operations, among them the identity."""
    source = RandAugment()
    names = source._AUGMENTATION_SPACE
    return [_operation(source, name, _RAND_BINS, _RAND_MAGNITUDE, height, width) for name in names]


def apply_operation(name: str, magnitude: float, images: Tensor) -> Tensor:
    """Return images uint8 (N, Ch, H, W), Ch 1 or 3, after an operation; outside an image is zero."""
    return _APPLY(images, name, magnitude, interpolation=InterpolationMode.NEAREST, fill={Tensor: None})


def _operation(
    source: AutoAugment | RandAugment, name: str, n_bins: int, bin_: int | None, height: int, width: int
) -> Operation:
    magnitudes_of, signed = source._AUGMENTATION_SPACE[name]
    magnitudes = magnitudes_of(n_bins, height, width)
    if magnitudes is None or bin_ is None:
        return name, (0.0,)
    magnitude = float(magnitudes[bin_])
    return name, (magnitude, -magnitude) if signed else (magnitude,)


_APPLY: Callable[..., Tensor] = RandAugment()._apply_image_or_video_transform
