import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.cckd.students.cifar_net import CifarResNet


def _reference_block(block: torch.nn.Module, x: Tensor) -> Tensor:
    # Option A as the paper says it: every second pixel, zeros for the channels that are new.
    residual = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
    shortcut = torch.zeros_like(residual)
    before = block.extra // 2
    shortcut[:, before : before + x.shape[1]] = x[:, :, :: block.stride, :: block.stride]
    return F.relu(residual + shortcut)


@pytest.mark.parametrize("size", [8, 7])
def test_a_block_adds_every_second_pixel_padded_with_zero_channels(size: int) -> None:
    torch.manual_seed(0)
    for block in CifarResNet(1, in_chans=1).blocks:
        x = torch.randn(3, block.conv1.in_channels, size, size)
        # Twice the same network in training mode: batch statistics do not depend on the running ones.
        assert torch.equal(block(x.clone()), _reference_block(block, x))


def test_the_pooled_features_are_means_over_all_pixels() -> None:
    net, x = CifarResNet(1), torch.randn(2, 64, 7, 5)
    torch.testing.assert_close(net.forward_head(x, pre_logits=True), x.mean(dim=(2, 3)))


def test_gradients_stay_channels_last_from_the_logits_to_the_stem() -> None:
    net = CifarResNet(1, in_chans=3).to(memory_format=torch.channels_last)
    formats: dict[int, bool] = {}
    x = torch.randn(4, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    x = F.relu(net.bn1(net.conv1(x)))
    for number, block in enumerate(net.blocks):
        x.register_hook(
            lambda gradient, number=number: formats.update(
                {number: gradient.is_contiguous(memory_format=torch.channels_last)}
            )
        )
        x = block(x)
    net.forward_head(x).sum().backward()
    assert formats == {0: True, 1: True, 2: True}
