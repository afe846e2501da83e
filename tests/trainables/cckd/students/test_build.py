from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

import trainables.cckd.students.timm_models  # noqa: F401, timm knows our names once it is imported
from trainables.cckd.errors import ConfigError
from trainables.cckd.random_streams import torch_stream
from trainables.cckd.students.build import OWN_STUDENTS, bias_name, build_student, check_student, try_student
from trainables.cckd.students.cifar_net import CifarResNet
from trainables.cckd.students.cosine_classifier import folded


@pytest.mark.parametrize(
    ("name", "n_parameters"),
    [("resnet8_cifar", 75_290), ("resnet20_cifar", 269_722), ("resnet32_cifar", 464_154)],
)
def test_cifar_networks_have_the_fields_size(name: str, n_parameters: int) -> None:
    # He et al., table 6: 0.27 M for 20 layers, 0.46 M for 32. By hand for 8: stem 464, stages 4,672, 13,952 and
    # 55,552, classifier 650.
    assert build_student(name, 10, 3, 32).n_parameters == n_parameters


@pytest.mark.parametrize("name", OWN_STUDENTS)
def test_depth_is_what_the_name_says(name: str) -> None:
    net = timm.create_model(name)
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == int(name.removeprefix("resnet").removesuffix("_cifar"))


@pytest.mark.parametrize("name", ["resnet8_cifar", "resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_logits_are_the_networks_own_and_features_feed_its_classifier(name: str) -> None:
    student = build_student(name, 4, 1, 32).eval()
    images = torch.randn(3, 1, 32, 32)
    with torch.no_grad():
        logits, features = student(images)
        assert features.shape == (3, student.n_features)
        torch.testing.assert_close(logits, student.net(images))
        torch.testing.assert_close(logits, student.net.get_classifier()(features))


def test_shortcuts_subsample_and_pad_with_zeros() -> None:
    net = timm.create_model("resnet8_cifar")
    assert isinstance(net, CifarResNet)
    block: Any = net.blocks[1].eval()
    nn.init.zeros_(block.bn2.weight)  # silences the residual branch
    x = torch.rand(2, 16, 8, 8)
    out = block(x)
    torch.testing.assert_close(out[:, 8:24], x[:, :, ::2, ::2])
    assert out[:, :8].abs().sum() == 0
    assert out[:, 24:].abs().sum() == 0


def test_the_timm_interface_resets_and_removes_the_classifier() -> None:
    net = timm.create_model("resnet20_cifar", num_classes=5)
    net.reset_classifier(7)
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    net.reset_classifier(0)
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 64)
    assert net.forward_features(torch.zeros(2, 3, 32, 32)).shape == (2, 64, 8, 8)
    with pytest.raises(ValueError, match="global_pool must be 'avg'"):
        net.reset_classifier(7, "max")


def test_weights_come_from_the_seeded_stream() -> None:
    weights = []
    for seed in (1, 1, 2):
        with torch_stream(seed, "init"):
            student = build_student("resnet8_cifar", 3, 1, 8)
        weights.append(student.net.conv1.weight.detach().numpy())
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_an_unknown_student_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(ConfigError, match=r"got 'resnet8_cifra'; closest: resnet8_cifar"):
        check_student("resnet8_cifra")
    with pytest.raises(ConfigError, match=r"got '\?'; for instance resnet8_cifar"):
        build_student("?", 10, 3, 32)
    check_student("resnet8_cifar")


@pytest.mark.parametrize(
    ("name", "size", "fault"),
    [
        ("vgg11", 28, "cannot be built: RuntimeError: Given input size"),
        ("vit_tiny_patch16_224", 28, "sees one patch, so that it has no places to compare"),
        ("mixer_s32_224", 32, "sees one patch"),
        ("convnext_tiny", 28, "cannot be built: RuntimeError: Calculated padded input size"),
        ("levit_128s", 32, "cannot be built: TypeError: it has 2 classifiers instead of one"),
    ],
)
def test_a_student_that_cannot_be_trained_is_refused_in_one_line(name: str, size: int, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        try_student(name, 10, 3, size)
    (line,) = caught.value.faults
    assert line.startswith(f"student {name!r} on {size}-pixel images of 3 channels {fault}")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("classifier", "needed", "fault"),
    [
        (nn.Sequential(nn.Linear(64, 10)), {"cosine_scale": 16.0}, "a cosine classifier replaces a linear layer"),
        (nn.Linear(64, 10, bias=False), {"needs_bias": True}, "needs a student whose classifier has a bias"),
    ],
)
def test_a_student_that_lacks_what_a_rung_or_a_setting_needs_is_refused(
    monkeypatch: pytest.MonkeyPatch, classifier: nn.Module, needed: dict[str, Any], fault: str
) -> None:
    monkeypatch.setattr(CifarResNet, "get_classifier", lambda self: classifier)
    try_student("resnet8_cifar", 10, 3, 32)
    with pytest.raises(ConfigError, match=fault):
        try_student("resnet8_cifar", 10, 3, 32, **needed)


@pytest.mark.parametrize("name", ["resnet50_gn", "vit_tiny_patch16_224", "convnext_atto"])
def test_a_rule_for_statistics_of_batches_needs_a_student_that_keeps_them(name: str) -> None:
    try_student(name, 10, 3, 64)
    with pytest.raises(ConfigError) as error:
        try_student(name, 10, 3, 64, statistics_rule="mix_statistics=joint")
    assert error.value.faults == (
        f"mix_statistics=joint acts through BatchNorm with running statistics, and student {name!r} has none, so that "
        "it changes nothing; leave mix_statistics out, or choose a student with BatchNorm",
    )


@pytest.mark.parametrize("name", ["resnet8_cifar", "resnet10t", "mobilenetv3_small_050"])
def test_a_student_with_batch_norm_follows_a_rule_for_its_statistics(name: str) -> None:
    try_student(name, 10, 3, 32, statistics_rule="mix_statistics=joint")


def test_a_student_whose_last_stage_alone_has_one_patch_can_be_trained() -> None:
    try_student("twins_svt_small", 10, 3, 32)  # 64 patches, then 16, 4 and 1


def test_a_fault_of_training_alone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
        if module.training:
            raise ValueError("Expected more than 1 value\nper channel when training")
        return x

    monkeypatch.setattr(nn.Dropout, "forward", forward)
    with pytest.raises(ConfigError, match="cannot be trained: ValueError: Expected more than 1 value per channel"):
        try_student("vit_tiny_patch16_224", 10, 3, 32)


@pytest.mark.parametrize(("name", "size"), [("resnet50_gn", 28), ("vit_tiny_patch16_224", 32), ("resnet8_cifar", 8)])
def test_a_student_that_can_be_trained_is_tried_without_a_trace(name: str, size: int) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    try_student(name, 10, 1, size)
    torch.testing.assert_close(torch.rand(3), expected)


def test_a_stem_before_group_normalisation_is_replaced_too() -> None:
    student = build_student("resnet50_gn", 10, 3, 32)
    assert student.small_stem
    assert student.net.conv1.out_channels == 64


@pytest.mark.parametrize(("size", "before_the_blocks"), [(32, 32), (64, 64), (65, 17), (224, 56)])
def test_a_resnet_keeps_the_resolution_of_small_images_only(size: int, before_the_blocks: int) -> None:
    student = build_student("resnet18", 10, 3, size)
    net = student.net
    with torch.no_grad():
        assert net.maxpool(net.act1(net.bn1(net.conv1(torch.zeros(1, 3, size, size))))).shape[-1] == before_the_blocks
    assert student.small_stem == (size <= 64)


def test_resnet18_with_the_small_stem_has_the_size_known_from_cifar() -> None:
    # 11,173,962: the usual count of ResNet-18 with a 3x3 stem and 10 classes.
    assert build_student("resnet18", 10, 3, 32).n_parameters == 11_173_962


def test_other_families_keep_their_stem() -> None:
    assert not build_student("mobilenetv3_small_050", 10, 3, 32).small_stem
    assert not build_student("resnet8_cifar", 10, 3, 32).small_stem


@pytest.mark.parametrize("name", ["resnet8_cifar", "resnet18", "mobilenetv3_small_050"])
def test_the_bias_of_the_classifier_is_found_by_its_name(name: str) -> None:
    student = build_student(name, 10, 3, 32)
    found = dict(student.net.named_parameters())[bias_name(student)]
    assert found is student.net.get_classifier().bias


def test_the_exported_form_of_a_cosine_classifier_has_a_bias() -> None:
    student = build_student("resnet8_cifar", 10, 3, 32, cosine_scale=16.0)
    assert folded(student.net).state_dict()[bias_name(student)].tolist() == [0.0] * 10


def test_a_classifier_without_a_bias_is_refused() -> None:
    student = build_student("resnet8_cifar", 10, 3, 32)
    student.net.get_classifier().bias = None
    with pytest.raises(ConfigError, match="needs a student whose classifier has a bias; 'resnet8_cifar' has none"):
        bias_name(student)
