"""The networks of the CIFAR literature: in evaluation the normalisation is a part of each convolution."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.cckd.students import cifar_net
from trainables.cckd.students.cifar_net import CifarResNet


def _plain(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    normalised: Tensor = norm(conv(x))
    return normalised


@pytest.fixture
def net() -> CifarResNet:
    """A network whose statistics and scales are all different from their first values."""
    torch.manual_seed(0)
    made = CifarResNet(1, num_classes=5, in_chans=2)
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values, low in (
                (layer.running_mean, -1.0),
                (layer.running_var, 0.2),
                (layer.weight, -1.0),
                (layer.bias, -1.0),
            ):
                nn.init.uniform_(values, low, 2.0)
    return made


@pytest.mark.parametrize("size", [8, 28, 32])
def test_in_evaluation_a_pass_gives_what_convolution_and_normalisation_give(
    net: CifarResNet, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    images = torch.randn(6, 2, size, size)
    net.eval()
    with torch.no_grad():
        folded = net(images)
        monkeypatch.setattr(cifar_net, "_normalised", _plain)
        plain = net(images)
    assert not torch.equal(folded, torch.zeros_like(folded))
    torch.testing.assert_close(folded, plain, rtol=1e-5, atol=1e-5)


def test_in_bfloat16_a_folded_pass_is_no_further_from_float32(
    net: CifarResNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.randn(200, 2, 16, 16)
    net.eval()

    def off(exact: Tensor) -> float:
        with torch.autocast("cpu", torch.bfloat16):
            return float((net(images).float() - exact).pow(2).mean())

    with torch.no_grad():
        exact = net(images)
        folded = off(exact)
        monkeypatch.setattr(cifar_net, "_normalised", _plain)
        assert folded < 1.5 * off(exact)


def test_in_training_the_layers_themselves_are_used(net: CifarResNet, monkeypatch: pytest.MonkeyPatch) -> None:
    images, averages = torch.randn(6, 2, 8, 8), net.bn1.running_mean.clone()
    first = net(images)
    assert not torch.equal(net.bn1.running_mean, averages), "the averages follow the batch"
    monkeypatch.setattr(cifar_net, "_normalised", _plain)
    assert torch.equal(net(images), first)


def test_without_running_averages_evaluation_normalises_by_the_batch(net: CifarResNet) -> None:
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.track_running_stats, layer.running_mean, layer.running_var = False, None, None
    images = torch.randn(6, 2, 8, 8)
    assert torch.equal(net.eval()(images), net.train()(images))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("size", "stride", "extra"), [(8, 2, 4), (7, 2, 3), (28, 2, 16), (5, 3, 1)])
def test_a_shortcut_and_its_gradient_are_those_of_pooling_and_padding(
    dtype: torch.dtype, size: int, stride: int, extra: int
) -> None:
    x = torch.randn(3, 4, size, size, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    plain = cifar_net._subsampled(x.detach(), stride, extra)
    pooled = F.pad(F.avg_pool2d(x, 1, stride), (0, 0, 0, 0, extra // 2, extra - extra // 2))
    found = cifar_net._subsampled(x, stride, extra)
    slope = torch.randn_like(found)
    (wanted,), (gradient,) = torch.autograd.grad(pooled, x, slope), torch.autograd.grad(found, x, slope)
    assert torch.equal(found, pooled)
    assert torch.equal(plain, pooled)
    assert torch.equal(gradient, wanted)
    assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in (found, gradient))


def test_the_gradient_of_a_shortcut_has_a_gradient() -> None:
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda y: cifar_net._subsampled(y * y, 2, 2), x)
