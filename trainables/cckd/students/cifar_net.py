"""The residual networks of the CIFAR literature (He et al., arXiv 1512.03385, section 4.2).

3x3 stem, three stages of 16, 32 and 64 channels, option A shortcuts (subsample and zero-pad, no parameters),
global average pooling, 6n + 2 layers. `resnet32_cifar` (0.46 M parameters) is the usual student on CIFAR-LT. Only
torch is imported, so that a worker that trains one of them does not load timm.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.cckd.students.cifar_sizes import WIDTHS


class CifarResNet(nn.Module):
    """timm's classifier interface over stem, stages, pooling and one linear layer `fc`."""

    def __init__(self, n_blocks: int, num_classes: int = 10, in_chans: int = 3, drop_rate: float = 0.0) -> None:
        """Build 6 * `n_blocks` + 2 layers; `drop_rate` is dropout before the classifier."""
        super().__init__()
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = WIDTHS[-1]
        self.drop_rate = drop_rate
        self.conv1 = _conv3x3(in_chans, WIDTHS[0], stride=1)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        blocks: list[nn.Module] = []
        width = WIDTHS[0]
        for stage, wider in enumerate(WIDTHS):
            for block in range(n_blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(_BasicBlock(width, wider, stride))
                width = wider
        self.blocks = nn.Sequential(*blocks)
        self.fc: nn.Module = nn.Linear(width, num_classes) if num_classes else nn.Identity()
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, C) of images (N, Ch, H, W)."""
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last feature map (N, 64, H/4, W/4)."""
        return self.blocks(F.relu(_normalised(self.conv1, self.bn1, x), inplace=True))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool a feature map to (N, 64) and classify it, or stop before the classifier."""
        # Not x.mean(dim=(2, 3)), see _BasicBlock.forward.
        pooled = F.avg_pool2d(x, x.shape[2:]).flatten(1)
        pooled = F.dropout(pooled, self.drop_rate, training=self.training) if self.drop_rate else pooled
        return pooled if pre_logits else self.fc(pooled)

    def get_classifier(self) -> nn.Module:
        """Return the linear layer."""
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a fresh classifier of `num_classes` (0: none) in place; the pooling is always the average."""
        if global_pool not in (None, "avg"):
            raise ValueError(f"global_pool must be 'avg'; got {global_pool!r}")
        self.num_classes = num_classes
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        self.fc.apply(_initialise)


class _BasicBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(n_in, n_out, stride)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = _conv3x3(n_out, n_out, stride=1)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.stride, self.extra = stride, n_out - n_in

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(_normalised(self.conv1, self.bn1, x), inplace=True)
        residual = _normalised(self.conv2, self.bn2, inner)
        if self.extra:
            x = _subsampled(x, self.stride, self.extra)
        return F.relu(residual.add_(x), inplace=True)


class _Subsampled(torch.autograd.Function):
    """`_subsampled` where a gradient is wanted. It is channels_last like its input.

    The gradient of a slice would not be: additions and ReLUs on it took twenty times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: int, extra: int) -> Tensor:
        n, channels, height, width = ctx.shape = x.shape
        ctx.stride, ctx.kept = stride, slice(extra // 2, extra // 2 + channels)
        wider = _zeros(x, (n, channels + extra, -(-height // stride), -(-width // stride)))
        wider[:, ctx.kept] = x[:, :, ::stride, ::stride]
        return wider

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        spread = _zeros(gradients[0], ctx.shape)
        spread[:, :, :: ctx.stride, :: ctx.stride] = gradients[0][:, ctx.kept]
        return spread, None, None


def _zeros(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last).zero_()


def _subsampled(x: Tensor, stride: int, extra: int) -> Tensor:
    """Return the shortcut of option A: every `stride`-th pixel, between `extra` channels of zeros."""
    if x.requires_grad:
        wider: Tensor = _Subsampled.apply(x, stride, extra)
        return wider
    # Exporters know these two operations. Pooling with a window of one pixel is x[:, :, ::stride, ::stride].
    return F.pad(F.avg_pool2d(x, 1, stride), (0, 0, 0, 0, extra // 2, extra - extra // 2))


def _normalised(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Return norm(conv(x)).

    In evaluation the normalisation is a part of the convolution's weights and bias. That gives the same numbers but for
    rounding, in three quarters of the time on a CPU. They are folded anew in each pass, which costs a hundredth of it.
    """
    is_plain = isinstance(norm, nn.BatchNorm2d)  # a user may have put another layer there
    if norm.training or not is_plain or norm.running_mean is None or norm.running_var is None:
        normalised: Tensor = norm(conv(x))
        return normalised
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    bias = norm.bias - norm.running_mean * scale
    return F.conv2d(x, conv.weight * scale.view(-1, 1, 1, 1), bias, conv.stride, conv.padding)


def _conv3x3(n_in: int, n_out: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, kernel_size=3, stride=stride, padding=1, bias=False)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            torch.nn.init.zeros_(module.bias)
