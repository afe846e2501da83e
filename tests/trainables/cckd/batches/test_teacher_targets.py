"""Logits that are formed from cached features: the readout's, whatever its form, and gradients as from dense ones."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.trainables.cckd import plain_losses
from trainables.cckd.batches import teacher_targets as module
from trainables.cckd.batches.steps import Batches
from trainables.cckd.batches.teacher_targets import FormedLogits, gather, resident_features, resident_logits
from trainables.cckd.bundle.mapped_features import RawFeatures
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.losses.layout import student_log_prior
from trainables.cckd.losses.objective import Objective
from trainables.cckd.losses.targets import Targets
from trainables.cckd.methods import Knobs
from trainables.cckd.teacher.fit.folds import FoldReadouts

CPU = torch.device("cpu")
N_IMAGES, N_VIEWS, N_FEATURES = 42, 3, 5
FORMS = ("affine", "cosine", "projected")
RNG = np.random.default_rng(7)
MEAN, STD = RNG.normal(4, 2, N_FEATURES).astype(np.float32), RNG.uniform(0.5, 3, N_FEATURES).astype(np.float32)
FOLD_OF = RNG.integers(0, 4, N_IMAGES)
ROWS = torch.from_numpy(RNG.integers(0, N_IMAGES * N_VIEWS, (2, 30)))


def _draw(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(size=shape).astype(np.float32)


def _world(data: TrialData, form: str, *, folds: bool) -> TrialData:
    """The synthetic world with a readout of `form` on features far from standard."""
    width = 4 if form == "projected" else N_FEATURES
    state = replace(data.teacher, weight=_draw(3, width), bias=_draw(3), feature_mean=MEAN, feature_std=STD)
    if form != "affine":
        lengths = np.linalg.norm(state.weight, axis=1, keepdims=True)
        state = replace(state, weight=state.weight / lengths, scale=20.0)
    if form == "projected":
        state = replace(state, projection=_draw(4, N_FEATURES), offset=_draw(4))
    own = FoldReadouts(_draw(4, 3, width), _draw(4, 3), FOLD_OF) if folds else None
    return replace(data, teacher=state, fold_readouts=own)


def _dense(data: TrialData, rows: torch.Tensor) -> NDArray[np.float64]:
    """Logits of `rows` (n,) in float64, (n, C), row by row from the same half-precision features."""
    folds, state = data.fold_readouts, data.teacher
    found = []
    for row in rows.tolist():
        image, view = divmod(row, data.n_views)
        weight = (state.weight if folds is None else folds.weight[folds.fold_of[image]]).astype(np.float64)
        bias = state.bias if folds is None else folds.bias[folds.fold_of[image]]
        place = data.teacher_features[image, view].astype(np.float64)
        if state.scale is not None:
            place = place * STD + MEAN
            if state.projection is not None:
                place = state.projection.astype(np.float64) @ place + state.offset
            place *= state.scale / np.linalg.norm(place)
        found.append(weight @ place + bias)
    return np.stack(found)


@pytest.fixture(params=["table", "formed"])
def table_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TABLE_BYTES", {"table": 2**20, "formed": 0}[request.param])
    monkeypatch.setattr(module, "_TABLE_ROWS", 50)


@pytest.mark.parametrize("folds", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.usefixtures("table_bytes")
def test_logits_are_the_readouts_of_the_images_fold(trial_data: TrialData, form: str, folds: bool) -> None:
    data = _world(trial_data, form, folds=folds)
    logits = resident_logits(data, resident_features(data, CPU), CPU)
    assert isinstance(logits, FormedLogits) == (module.TABLE_BYTES == 0)
    found = gather(logits, ROWS)
    assert (found.dtype, found.shape) == (torch.float32, (2, 30, 3))
    np.testing.assert_allclose(found.flatten(0, 1), _dense(data, ROWS.flatten()), rtol=1e-5, atol=1e-4)


def test_a_table_is_formed_up_to_its_bytes(trial_data: TrialData, monkeypatch: pytest.MonkeyPatch) -> None:
    features = resident_features(trial_data, CPU)
    n_bytes = 4 * N_IMAGES * N_VIEWS * 3
    for most, formed in ((n_bytes, False), (n_bytes - 1, True)):
        monkeypatch.setattr(module, "TABLE_BYTES", most)
        assert isinstance(resident_logits(trial_data, features, CPU), FormedLogits) == formed


@pytest.mark.parametrize("folds", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_features_in_their_file_give_the_logits_of_raw_features(trial_data: TrialData, form: str, folds: bool) -> None:
    data = _world(trial_data, form, folds=folds)
    raw = (trial_data.teacher_features.astype(np.float64) * STD + MEAN).astype(np.float16)
    data = replace(data, teacher_features=RawFeatures(raw, MEAN, STD))
    rows = torch.arange(N_IMAGES * N_VIEWS)
    found = gather(FormedLogits(data, resident_features(data, CPU), CPU), rows)
    standard = (raw.astype(np.float64) - MEAN) / STD
    expected = _dense(replace(data, teacher_features=standard), rows)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
    if not folds:  # the readout's own logits, in numpy
        np.testing.assert_allclose(found, data.teacher.logits(raw).reshape(-1, 3), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("method", ["kd", "acckd"])
def test_the_steps_of_an_epoch_read_the_same_logits_with_and_without_a_table(
    trial_data: TrialData, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = _world(trial_data, "affine", folds=True)
    config = TrialConfig.build({"method": method, "batch_size": 16, "seed": 1})
    n_mixed = 16 if method == "acckd" else 0
    objective = Objective(
        config, torch.from_numpy(data.counts), torch.from_numpy(data.teacher_log_prior.copy()), n_mixed=n_mixed
    )

    def logits() -> list[Any]:
        steps = list(Batches(config, data, objective, device=CPU).epoch(1))
        sets = [of_set for step in steps for of_set in (step.plain, step.mixed) if of_set is not None]
        return [of_set.logits.numpy() for of_set in sets if of_set.logits is not None]

    tabled = logits()
    monkeypatch.setattr(module, "TABLE_BYTES", 0)
    assert len(tabled) == (4 if method == "acckd" else 2)
    for found, expected in zip(logits(), tabled, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def _many_classes(small: TrialData, n_classes: int, n_features: int) -> TrialData:
    """One image per class in 2 views, and a teacher whose logits spread over tens."""
    rng = np.random.default_rng(0)
    views = np.zeros((n_classes, 2, 5), np.int16)
    views[..., 2:4] = 8
    return replace(
        small,
        class_names=tuple(map(str, range(n_classes))),
        train_images=np.zeros((n_classes, 1, 8, 8), np.uint8),
        train_labels=np.arange(n_classes),
        views=views,
        teacher_features=rng.normal(size=(n_classes, 2, n_features)).astype(np.float16),
        teacher_log_prior=np.log(rng.dirichlet(np.ones(n_classes))),
        teacher=replace(
            small.teacher,
            weight=rng.normal(scale=0.6, size=(n_classes, n_features)).astype(np.float32),
            bias=rng.normal(size=n_classes).astype(np.float32),
            feature_mean=np.zeros(n_features, np.float32),
            feature_std=np.ones(n_features, np.float32),
        ),
    )


@pytest.mark.parametrize("estimator", ["batch", "batch_mass", "prior", "prior_uniform"])
def test_the_gradient_is_that_of_dense_logits_at_8142_classes(trial_data: TrialData, estimator: str) -> None:
    n_classes, temperature = 8142, 8.0  # as many classes as iNaturalist 2018
    data = _many_classes(trial_data, n_classes, 64)
    counts = torch.from_numpy(np.geomspace(1000, 2, n_classes).astype(np.int64))
    knobs = Knobs(tau=1.0, temperature=temperature, estimator=estimator, sup_weight=0.0, cckd_weight=1.0)
    teacher_log_prior = torch.from_numpy(data.teacher_log_prior)
    objective = Objective(knobs, counts, teacher_log_prior, n_mixed=0)
    assert list(objective.weights) == ["cckd"]

    logits = resident_logits(data, resident_features(data, CPU), CPU)
    assert isinstance(logits, FormedLogits)
    rows = torch.from_numpy(np.random.default_rng(1).integers(0, 2 * n_classes, 16))
    student = torch.from_numpy(np.random.default_rng(2).normal(scale=2.0, size=(16, n_classes)))
    shown = student.float().requires_grad_()
    objective(shown, None, Targets(rows // 2, gather(logits, rows)), None)["total"].backward()

    exact = student.clone().requires_grad_()
    log_prior = torch.log(counts.double() / counts.sum())
    uniform = torch.full_like(log_prior, -np.log(n_classes))
    plain_losses.cckd(
        estimator,
        exact,
        torch.from_numpy(_dense(data, rows)),
        student_log_prior=student_log_prior(log_prior, 1.0),
        teacher_log_prior=teacher_log_prior,
        log_set_prior=uniform if estimator == "prior_uniform" else log_prior,
        temperature=temperature,
    ).backward()
    assert shown.grad is not None
    assert exact.grad is not None
    found, expected = shown.grad.double().flatten(), exact.grad.flatten()
    assert found @ expected / (found.norm() * expected.norm()) >= 0.9999
    assert found.norm() == pytest.approx(float(expected.norm()), rel=1e-3)
