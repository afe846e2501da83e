"""A learner's steps are those of the plain losses, of autograd and of torch's own SGD."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.trainables.cckd import plain_losses
from trainables.cckd.batches.steps import Batches, StepBatch
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.losses.layout import student_log_prior
from trainables.cckd.losses.objective import Objective
from trainables.cckd.losses.soft_targets import kd
from trainables.cckd.losses.targets import Targets
from trainables.cckd.precision import Precision
from trainables.cckd.random_streams import torch_stream
from trainables.cckd.students.build import build_student
from trainables.cckd.training.learner import Learner

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def wide_data(trial_data: TrialData) -> TrialData:
    """The synthetic world with more features of the teacher than of the student, as it is in earnest."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(*trial_data.views.shape[:2], 96)).astype(np.float16)
    weight = rng.normal(size=(trial_data.n_classes, 96)).astype(np.float32) / 4
    zero, one = np.zeros(96, np.float32), np.ones(96, np.float32)
    teacher = replace(trial_data.teacher, weight=weight, feature_mean=zero, feature_std=one)
    return replace(trial_data, teacher_features=features, teacher=teacher)


def _learner(config: TrialConfig, data: TrialData, *, precision: Precision = "float32") -> tuple[Learner, Batches]:
    objective = Objective(
        config,
        torch.from_numpy(data.counts),
        torch.from_numpy(data.teacher_log_prior.copy()),
        n_mixed=config.n_mixed,
    )
    learner = Learner(
        config,
        objective,
        n_classes=data.n_classes,
        image_shape=data.image_shape,
        n_teacher_features=data.teacher_features.shape[2],
        device=CPU,
        precision=precision,
    )
    return learner, Batches(config, data, objective, device=CPU)


class _PlainLearner:
    """What a user would write: the losses as they are defined, autograd, torch.optim.SGD."""

    def __init__(self, config: TrialConfig, data: TrialData) -> None:
        self.config = config
        with torch_stream(config.seed, "init"):
            self.student = build_student(config.student, data.n_classes, *data.image_shape[:2])
        self.student.to(memory_format=torch.channels_last)
        with torch_stream(config.seed, "align"):
            self.align = nn.Linear(self.student.n_features, data.teacher_features.shape[2])
        with_features = config.feature_weight > 0
        trained = [*self.student.parameters(), *(self.align.parameters() if with_features else [])]
        self.optimizer = torch.optim.SGD(
            trained,
            lr=1.0,
            momentum=config.momentum,
            nesterov=config.nesterov and config.momentum > 0,
            weight_decay=config.weight_decay,
        )
        log_prior = torch.from_numpy(np.log(data.counts / data.counts.sum()))
        self.train = log_prior.float()
        self.uniform = torch.full_like(self.train, -np.log(data.n_classes))
        self.mixed = torch.log_softmax((1 - config.mix_balance) * self.train, dim=0)
        self.own = student_log_prior(log_prior, config.tau).float()
        self.teacher = torch.from_numpy(data.teacher_log_prior).float()

    def step(self, batch: StepBatch, rate: float) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        total = self.total(*self.answers(batch), batch)
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()
        return total.detach()

    def answers(self, batch: StepBatch) -> tuple[Tensor, Tensor]:
        if self.config.mix_statistics == "joint":
            return self.student(batch.images)
        n_plain = len(batch.plain.labels)
        plain = self.student(batch.images[:n_plain])
        others = {name: buffer.clone() for name, buffer in self.student.named_buffers()}
        mixed = torch.func.functional_call(self.student, others, (batch.images[n_plain:],))
        return torch.cat([plain[0], mixed[0]]), torch.cat([plain[1], mixed[1]])

    def total(self, logits: Tensor, features: Tensor, batch: StepBatch) -> Tensor:
        n_plain, config = len(batch.plain.labels), self.config
        weights = {"sup": 1.0, "kd": config.kd_weight, "cckd": config.cckd_weight}
        total = self._terms(logits[:n_plain], batch.plain, self.train, weights)
        imitated = [(features[:n_plain], batch.plain)]
        if batch.mixed is not None:
            weights = {"sup": config.mix_weight, "kd": config.kd_mix_weight, "cckd": config.cckd_mix_weight}
            total = total + self._terms(logits[n_plain:], batch.mixed, self.mixed, weights)
            imitated.append((features[n_plain:], batch.mixed))
        if config.feature_weight:
            distances = torch.stack([self._distance(rows, targets) for rows, targets in imitated])
            total = total + config.feature_weight * distances.mean()
        return total

    def _terms(self, logits: Tensor, targets: Targets, log_set: Tensor, weights: dict[str, float]) -> Tensor:
        config = self.config
        total = weights["sup"] * plain_losses.supervised(logits, targets.labels, self.own, log_set)
        if weights["kd"]:
            assert targets.logits is not None
            total = total + weights["kd"] * kd(logits, targets.logits, config.temperature)
        if weights["cckd"]:
            assert targets.logits is not None
            total = total + weights["cckd"] * plain_losses.cckd(
                config.estimator,
                logits,
                targets.logits,
                student_log_prior=self.own,
                teacher_log_prior=self.teacher,
                log_set_prior=self.uniform if config.estimator == "prior_uniform" else log_set,
                temperature=config.temperature,
            )
        return total

    def _distance(self, features: Tensor, targets: Targets) -> Tensor:
        assert targets.features is not None
        return 1.0 - torch.cosine_similarity(self.align(features), targets.features, dim=1).mean()


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "la"},
        {"method": "la_mix", "mix_weight": 0.7},
        {"method": "kd", "momentum": 0.0},
        {"method": "kd_mix", "mix_weight": 0.6, "kd_mix_weight": 0.4},
        {"method": "cckd", "tau": 0.6, "temperature": 3.0},
        {"method": "acckd", "estimator": "prior", "use_kd": True, "kd_weight": 0.5},
        {"method": "cckd_prior", "estimator": "prior_uniform", "momentum": 0.0},
        {"method": "acckd", "mix_weight": 0.0, "feature_weight": 2.0},
        {"method": "kd_mix", "mix_statistics": "joint"},
        {"method": "acckd_no_fi", "mix_balance": 0.2},
        # More samples than the student has features: the aligned features are not formed.
        {"method": "acckd", "batch_size": 40, "mix_op": "cutmix", "cckd_mix_weight": 0.5},
    ],
    ids=[
        "la",
        "la_mix",
        "kd",
        "kd_mix",
        "cckd",
        "prior",
        "prior_uniform",
        "imitation",
        "joint",
        "balance",
        "unaligned",
    ],
)
@pytest.mark.usefixtures("smooth")
def test_twenty_steps_are_those_of_the_plain_losses_and_torchs_sgd(
    wide_data: TrialData, changes: dict[str, Any]
) -> None:
    config = TrialConfig.build({"batch_size": 10, "lr": 0.05, "seed": 3} | changes)
    learner, batches = _learner(config, wide_data)
    plain = _PlainLearner(config, wide_data)
    learner.student.train()
    plain.student.train()
    step = 0
    while step < 20:
        for batch in batches.epoch(1 + step // batches.n_steps):
            rate = 0.002 + 0.0002 * (step % 5)
            found, expected = learner.step(batch, rate)[-1], plain.step(batch, rate)
            torch.testing.assert_close(found, expected, rtol=2e-4, atol=1e-5, msg=f"step {step}")
            step += 1
    for (name, ours), theirs in zip(
        learner.student.state_dict().items(), plain.student.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(("method", "tau"), [("ce", 0.0), ("la", 0.5), ("la", 1.4)])
def test_answers_under_the_uniform_prior_are_raw_logits_over_the_students_prior(
    trial_data: TrialData, method: str, tau: float
) -> None:
    flat = {"method": method, "batch_size": 10} | ({"tau": tau} if method == "la" else {})
    learner, _ = _learner(TrialConfig.build(flat | {"prediction_prior": "uniform"}), trial_data)
    images = torch.randn(30, 1, 8, 8)
    learner.student.eval()
    with torch.no_grad():
        raw = learner.student(images)[0].numpy()
    own = (trial_data.counts / trial_data.counts.sum()) ** (1.0 - tau)
    probability = np.exp(raw) / (own / own.sum())
    found = learner.read(images)[0].numpy()
    np.testing.assert_array_equal(learner.predict(images).numpy(), found.argmax(axis=1))
    np.testing.assert_allclose(
        np.exp(found) / np.exp(found).sum(axis=1, keepdims=True),
        probability / probability.sum(axis=1, keepdims=True),
        rtol=1e-5,
    )
    trained, _ = _learner(TrialConfig.build(flat), trial_data)
    trained.student.eval()
    np.testing.assert_array_equal(trained.read(images)[0].numpy(), raw)


@pytest.mark.parametrize("prior", ["trained", "uniform"])
def test_a_student_answers_by_float32_logits_whose_ties_in_bfloat16_favour_no_class(
    trial_data: TrialData, prior: str
) -> None:
    flat = {"method": "ce", "batch_size": 10, "prediction_prior": prior}
    learner, _ = _learner(TrialConfig.build(flat), trial_data, precision="bfloat16")
    learner.student.eval()
    images = torch.randn(400, 1, 8, 8)
    with torch.no_grad():
        learner.student.net.get_classifier().weight *= 0.02
        learner.student.net.get_classifier().bias += 12.0  # logits of 8 to 16 lie a 16th apart in bfloat16
        with torch.autocast("cpu", torch.bfloat16):
            coarse, features = learner.student(images)
        logits = learner.student.net.get_classifier()(features.float())
    expected = logits if learner.correction is None else logits + learner.correction
    top = coarse.float().topk(2, dim=1).values
    assert (top[:, 0] == top[:, 1]).any(), "there must be ties to break"
    np.testing.assert_array_equal(learner.predict(images).numpy(), expected.argmax(dim=1).numpy())


def test_at_tau_1_the_uniform_prior_changes_no_answer(trial_data: TrialData) -> None:
    learner, _ = _learner(
        TrialConfig.build({"method": "la", "batch_size": 10, "prediction_prior": "uniform"}), trial_data
    )
    assert learner.correction is not None
    assert learner.correction.abs().max() < 1e-6


def test_training_does_not_depend_on_the_prior_of_the_prediction(trial_data: TrialData) -> None:
    totals = []
    for prior in ("trained", "uniform"):
        config = TrialConfig.build({"method": "ce", "batch_size": 10, "prediction_prior": prior})
        learner, batches = _learner(config, trial_data)
        learner.student.train()
        totals.append(torch.stack([learner.step(batch, 0.05)[-1] for batch in batches.epoch(1)]))
    torch.testing.assert_close(totals[0], totals[1], rtol=0, atol=0)


def test_running_averages_go_on_after_a_step_that_failed_on_the_mixed_set(trial_data: TrialData) -> None:
    learner, batches = _learner(TrialConfig.build({"method": "la_mix", "batch_size": 10}), trial_data)
    learner.student.train()
    first, second = (batch for batch, _ in zip(batches.epoch(1), range(2), strict=False))
    seen: list[int] = []

    def fail_on_the_second(module: nn.Module, inputs: tuple[Tensor]) -> None:
        seen.append(len(inputs[0]))
        if len(seen) == 2:
            raise RuntimeError("no memory left")

    handle = learner.student.register_forward_pre_hook(fail_on_the_second)
    with pytest.raises(RuntimeError, match="no memory left"):
        learner.step(first, 0.01)
    handle.remove()
    before = {name: buffer.clone() for name, buffer in learner.student.named_buffers() if name.endswith("mean")}
    learner.step(second, 0.01)
    assert seen == [10, 10]
    assert all(not torch.equal(dict(learner.student.named_buffers())[name], old) for name, old in before.items())


def test_the_losses_of_a_step_take_less_than_half_of_the_operations(wide_data: TrialData) -> None:
    # Their number is what a step on small images costs.
    config = TrialConfig.build({"method": "acckd", "batch_size": 40})
    learner, batches = _learner(config, wide_data)
    plain = _PlainLearner(config, wide_data)
    batch = next(batches.epoch(1))
    logits, features = (tensor.detach().requires_grad_() for tensor in learner.student(batch.images))

    def fast_total() -> Tensor:
        return learner._objective(logits, learner._aligned(features), batch.plain, batch.mixed, batch.prepared)["total"]

    fast, slow = (_operations(total) for total in (fast_total, lambda: plain.total(logits, features, batch)))
    assert 0 < fast < slow / 2


def _operations(total: Callable[[], Tensor]) -> int:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        total().backward()
    return sum(event.count for event in profile.key_averages() if event.key.startswith("aten::"))
