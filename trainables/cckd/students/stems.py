"""The stem of a residual network on small images: 3x3 at stride 1 without pooling, as on CIFAR.

timm's 7x7 stride-2 stem and its pooling reduce 32x32 pixels to 8x8 before the first block. No argument of timm changes
that, so the two layers are replaced; the loading lines of an exported model do the same.
"""

from typing import Any

from torch import nn

#: Largest side, pixels, on which the stem is replaced.
SMALL_IMAGE = 64


def fit_stem(net: nn.Module, *, in_chans: int, image_size: int) -> bool:
    """Replace the stem of a timm ResNet for images of at most SMALL_IMAGE pixels; return whether it was."""
    from timm.models.resnet import ResNet  # callers with a timm network have imported timm

    if image_size > SMALL_IMAGE or not isinstance(net, ResNet):
        return False
    stem = nn.Conv2d(in_chans, net.bn1.weight.numel(), kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")  # as timm initialises it
    net.conv1, net.maxpool = stem, nn.Identity()
    return True


def stem_line(net: nn.Module) -> str:
    """Return one line of Python that replaces the stem of a new `net` from timm by the stem of this one."""
    stem: Any = net.conv1
    layer = f"torch.nn.Conv2d({stem.in_channels}, {stem.out_channels}, 3, padding=1, bias=False)"
    return f"net.conv1, net.maxpool = {layer}, torch.nn.Identity()"
