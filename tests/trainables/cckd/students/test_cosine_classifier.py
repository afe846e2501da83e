import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from trainables.cckd.errors import ConfigError
from trainables.cckd.students import build
from trainables.cckd.students.build import build_student
from trainables.cckd.students.cosine_classifier import CosineClassifier, folded


def test_logits_are_scaled_cosines_with_the_class_weights() -> None:
    classifier = CosineClassifier(5, 3, 30.0)
    features = torch.randn(4, 5)
    with torch.no_grad():
        classifier.weight.mul_(7.0)
        logits = classifier(features)
    for row, answers in zip(features, logits, strict=True):
        for weight, answer in zip(classifier.weight.detach(), answers, strict=True):
            cosine = row @ weight / (row.norm() * weight.norm())
            assert answer.item() == pytest.approx(30 * cosine.item(), abs=1e-4)


def test_class_weights_start_at_length_1_in_directions_that_the_seed_decides() -> None:
    torch.manual_seed(3)
    first = CosineClassifier(5, 3, 1.0).weight
    torch.manual_seed(3)
    torch.testing.assert_close(first, CosineClassifier(5, 3, 1.0).weight)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(3))


def test_features_of_zeros_give_logits_of_zeros() -> None:
    student = build_student("resnet8_cifar", 3, 1, 8, cosine_scale=30.0)
    zeros = torch.zeros(2, student.n_features)
    for net in (student.net, folded(student.net)):
        assert net.get_classifier()(zeros).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("name", ["resnet8_cifar", "resnet18", "vit_tiny_patch16_224"])
def test_any_student_with_a_linear_classifier_takes_it(name: str) -> None:
    student = build_student(name, 4, 1, 32, cosine_scale=16.0).eval()
    with torch.no_grad():
        logits, features = student(torch.randn(3, 1, 32, 32))
    torch.testing.assert_close(logits, student.net.get_classifier()(features))
    assert logits.abs().max() <= 16.0 + 1e-4


def test_a_student_whose_classifier_is_no_linear_layer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.CifarResNet, "get_classifier", lambda self: nn.Sequential(self.fc))
    with pytest.raises(ConfigError, match="a cosine classifier replaces a linear layer; the model has Sequential"):
        build_student("resnet8_cifar", 4, 1, 32, cosine_scale=16.0)


@settings(max_examples=20)
@given(scale=st.floats(0.5, 64), length=st.floats(1e-3, 1e3))
def test_folded_into_torchs_own_layers_the_logits_are_the_same(scale: float, length: float) -> None:
    student = build_student("resnet8_cifar", 3, 1, 8, cosine_scale=scale)
    features = length * torch.randn(4, student.n_features)
    with torch.no_grad():
        expected = student.net.get_classifier()(features)
        plain = folded(student.net)
        torch.testing.assert_close(plain.get_classifier()(features), expected, rtol=1e-5, atol=1e-6 * scale)
    assert not any(isinstance(module, CosineClassifier) for module in plain.modules())
