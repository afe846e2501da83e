"""Importing this module registers the networks of `cifar_net` with timm; exported models import it."""

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model

from trainables.cckd.students.cifar_net import CifarResNet
from trainables.cckd.students.cifar_sizes import N_BLOCKS

__all__ = ["CifarResNet", "resnet8_cifar", "resnet20_cifar", "resnet32_cifar"]

default_cfgs = generate_default_cfgs(
    {
        name: {
            "url": "",
            "input_size": (3, 32, 32),
            "pool_size": (8, 8),
            "num_classes": 10,
            "mean": (0.4914, 0.4822, 0.4465),
            "std": (0.2470, 0.2435, 0.2616),
            "first_conv": "conv1",
            "classifier": "fc",
        }
        for name in (f"{variant}.untrained" for variant in N_BLOCKS)
    }
)


@register_model
def resnet8_cifar(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """8 layers, 0.08 M parameters: the default student of the small sets."""
    return _build("resnet8_cifar", pretrained, **kwargs)


@register_model
def resnet20_cifar(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """20 layers, 0.27 M parameters."""
    return _build("resnet20_cifar", pretrained, **kwargs)


@register_model
def resnet32_cifar(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """32 layers, 0.46 M parameters."""
    return _build("resnet32_cifar", pretrained, **kwargs)


def _build(variant: str, pretrained: bool, **kwargs: Any) -> CifarResNet:
    return build_model_with_cfg(CifarResNet, variant, pretrained, n_blocks=N_BLOCKS[variant], **kwargs)
