"""The whole teacher in one module gives what the cache and the probe give."""

import numpy as np
import pytest
import torch

from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.backbone import Backbone
from trainables.cckd.teacher.features import extract
from trainables.cckd.teacher.fit.probe import ProbeFit, fit_probe
from trainables.cckd.teacher.forward import ForwardTeacher


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8), dtype=np.uint8)


@pytest.fixture(scope="module")
def probe(backbone: Backbone, images: np.ndarray) -> ProbeFit:
    features, labels = extract(backbone, images), np.arange(12) % 3
    return fit_probe(features[:, None], labels, features, labels, n_classes=3, strengths=(1.0,))


def test_it_equals_the_cached_path(probe: ProbeFit, backbone: Backbone, images: np.ndarray) -> None:
    teacher = ForwardTeacher(probe.state(name="tf_efficientnet_lite0", size=backbone.size))
    logits, features = teacher(torch.from_numpy(images).float())
    cached = extract(backbone, images)
    np.testing.assert_allclose(features.numpy(), probe.standardise(cached), atol=0.02)
    np.testing.assert_allclose(logits.numpy(), probe.logits(cached), atol=0.02)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_it_takes_arrays_that_are_lent_read_only(probe: ProbeFit) -> None:
    state = probe.state(name="tf_efficientnet_lite0", size=32)
    for array in (state.weight, state.bias, state.feature_mean, state.feature_std):
        array.flags.writeable = False
    assert ForwardTeacher(state).readout.weight.shape == (3, 1280)


def test_an_unknown_backbone_is_refused(probe: ProbeFit) -> None:
    with pytest.raises(TeacherError, match="got 'stub'"):
        ForwardTeacher(probe.state(name="stub", size=32))
