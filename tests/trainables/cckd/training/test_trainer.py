from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import ConfigError, NonFiniteLossError
from trainables.cckd.losses import soft_targets
from trainables.cckd.methods import METHODS
from trainables.cckd.teacher.readout import TeacherState
from trainables.cckd.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")


def _config(method: str = "acckd", **changes: Any) -> TrialConfig:
    return TrialConfig.build({"method": method, "epochs": 4, "batch_size": 16, "lr": 0.05, "seed": 3} | changes)


def _weights(trainer: Trainer) -> dict[str, np.ndarray]:
    return {name: tensor.clone().numpy() for name, tensor in trainer.student.state_dict().items()}


def _assert_equal(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_reports_what_it_minimised(trial_data: TrialData, method: str) -> None:
    config = _config(method, epochs=2)
    trainer = Trainer(config, trial_data)
    records = list(trainer)
    assert [record.epoch for record in records] == [1, 2]
    assert trainer.done
    losses_seen = records[-1].losses
    total = sum(weight * losses_seen[term] for term, weight in trainer.objective.weights.items())
    assert losses_seen["total"] == pytest.approx(total, rel=1e-5)


def test_deferred_class_weights_change_the_last_fifth_of_the_epochs_only(trial_data: TrialData) -> None:
    plain, weighed = (list(Trainer(_config("ldam_drw", epochs=5, beta=beta), trial_data)) for beta in (0.0, 0.99))
    assert [one.losses == other.losses for one, other in zip(plain, weighed, strict=True)] == [True] * 4 + [False]


def test_deferred_class_weights_are_on_after_a_restart(trial_data: TrialData, tmp_path: Path) -> None:
    config = _config("ldam_drw", epochs=5, beta=0.99)
    whole = list(Trainer(config, trial_data))
    part = Trainer(config, trial_data)
    for _ in range(4):
        part.run_epoch()
    part.save(tmp_path)
    assert Trainer.load(tmp_path, trial_data).run_epoch().losses == whole[-1].losses


def test_a_student_learns_the_bands(trial_data: TrialData) -> None:
    records = list(Trainer(_config("la", epochs=12), trial_data))
    val = records[-1].val
    assert val is not None
    assert val.seen == (10, 10, 10)
    assert sum(val.correct) >= 27
    assert records[-1].losses["sup"] < 0.5 * records[0].losses["sup"]


def test_validation_runs_at_rungs_only(trial_data: TrialData) -> None:
    records = list(Trainer(_config("ce", epochs=7), trial_data))
    assert [record.epoch for record in records if record.val is not None] == [2, 4, 6, 7]
    assert all((record.eval_s > 0) == (record.val is not None) for record in records)


@pytest.mark.parametrize("drop_rate", [0.0, 0.5])
def test_evaluating_more_often_changes_neither_weights_nor_losses(trial_data: TrialData, drop_rate: float) -> None:
    config, trained = _config(epochs=20), []
    for evaluated in (None, (4, 8, 12, 16, 20), range(1, 21)):
        trainer = Trainer(config, trial_data, evaluated=evaluated)
        trainer.student.net.drop_rate = drop_rate
        records = list(trainer)
        trained.append((_weights(trainer), records))
    (weights, records), *others = trained
    for other, again in others:
        _assert_equal(other, weights)
        assert [record.losses for record in again] == [record.losses for record in records]
        assert again[-1].val == records[-1].val
    seen = [[record.epoch for record in records if record.val is not None] for _, records in trained]
    assert seen == [[5, 10, 15, 20], [4, 8, 12, 16, 20], list(range(1, 21))]


def test_the_rate_of_a_record_is_that_of_the_epochs_last_step(trial_data: TrialData) -> None:
    records = list(Trainer(_config("ce", schedule="cosine"), trial_data))
    n_steps = 42 // 16
    expected = [0.05 * (1 + np.cos(np.pi * (epoch * n_steps - 1) / (4 * n_steps))) / 2 for epoch in (1, 2, 3, 4)]
    assert [record.lr for record in records] == pytest.approx(expected)


def test_equal_seeds_give_equal_weights_and_other_seeds_others(trial_data: TrialData) -> None:
    trained = []
    for seed in (3, 3, 4):
        trainer = Trainer(_config(epochs=2, seed=seed), trial_data)
        torch.rand(5)  # the global generator is nobody's source
        list(trainer)
        trained.append(_weights(trainer))
    _assert_equal(trained[0], trained[1])
    assert not np.array_equal(trained[0]["net.conv1.weight"], trained[2]["net.conv1.weight"])


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "la"},
        {"mix_op": "mixup"},
        {"mix_op": "cutmix", "estimator": "prior", "schedule": "cosine", "momentum": 0.0},
        {"mix_until": 0.5, "mix_statistics": "joint"},
        {"student": "mobilenetv3_small_050"},
    ],
    ids=["la", "mixup", "cutmix", "mixing ends", "timm"],
)
def test_a_continued_trial_is_bitwise_the_uninterrupted_one(
    trial_data: TrialData, tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = _config(**changes)
    whole = Trainer(config, trial_data)
    records = list(whole)
    first = Trainer(config, trial_data)
    first.run_epoch()
    first.run_epoch()  # two of three views seen: in the middle of a block
    first.save(tmp_path)
    second = Trainer.load(tmp_path, trial_data)
    assert second.epoch == 2
    list(second)
    _assert_equal(_weights(second), _weights(whole))
    for ours, theirs in zip(second.records, records, strict=True):
        assert (ours.epoch, ours.losses, ours.lr, ours.val) == (
            theirs.epoch,
            theirs.losses,
            theirs.lr,
            theirs.val,
        )


@pytest.mark.parametrize("mix_until", [1.0, 0.25])
def test_restoring_takes_a_used_trainer_back(trial_data: TrialData, tmp_path: Path, mix_until: float) -> None:
    trainer = Trainer(_config(mix_until=mix_until), trial_data)
    trainer.run_epoch()
    trainer.save(tmp_path)
    after_two = trainer.run_epoch()
    trainer.run_epoch()
    trainer.restore(tmp_path)
    assert trainer.epoch == 1
    assert trainer.run_epoch().losses == after_two.losses


def test_a_used_trainer_goes_back_to_the_start(trial_data: TrialData, tmp_path: Path) -> None:
    trainer = Trainer(_config(), trial_data)
    trainer.save(tmp_path)
    first = [trainer.run_epoch().losses, trainer.run_epoch().losses]
    trainer.restore(tmp_path)
    assert [trainer.run_epoch().losses, trainer.run_epoch().losses] == first


@pytest.mark.parametrize(("mix_until", "mixing"), [(0.01, 1), (0.5, 2), (0.8, 3), (1.0, 4)])
def test_mixing_ends_after_its_share_of_the_epochs(trial_data: TrialData, mix_until: float, mixing: int) -> None:
    records = list(Trainer(_config(mix_until=mix_until), trial_data))
    assert ["cckd_mix" in record.losses for record in records] == [True] * mixing + [False] * (4 - mixing)
    assert all({"sup", "cckd", "imitation"} <= record.losses.keys() for record in records)


@pytest.mark.parametrize("mix_targets", ["interpolate", "forward"])
def test_without_mixing_the_steps_are_those_of_the_method_below(trial_data: TrialData, mix_targets: str) -> None:
    mixing = Trainer(
        _config("acckd_no_fi", mix_until=0.5, mix_targets=mix_targets), trial_data, teacher_factory=_StubTeacher
    )
    below = Trainer(_config("cckd"), trial_data)
    for trainer in (mixing, below):
        trainer.run_epoch()
        trainer.run_epoch()
    below.learner.load_tensors(mixing.learner.tensors())
    assert mixing.run_epoch().losses == below.run_epoch().losses
    _assert_equal(_weights(mixing), _weights(below))


def test_views_stay_those_that_the_teacher_has_seen_when_mixing_ends(trial_data: TrialData) -> None:
    config = _config("acckd_no_fi", cckd_weight=0.0, mix_until=0.5)
    assert "cckd" not in list(Trainer(config, trial_data))[-1].losses
    batches = Trainer(config, trial_data).batches
    batches.serve(Trainer(_config("la"), trial_data).objective)
    assert batches._choices(3).rows is not None


def test_dropout_draws_anew_every_epoch_and_continues_bitwise(trial_data: TrialData, tmp_path: Path) -> None:
    seeds: list[int] = []

    def note_seed(student: nn.Module, *_: object) -> None:
        if student.training:
            seeds.append(torch.initial_seed())

    def build() -> Trainer:
        trainer = Trainer(_config(), trial_data)
        trainer.student.net.drop_rate = 0.5
        trainer.student.register_forward_hook(note_seed)
        return trainer

    whole = build()
    whole.run_epoch()
    whole.save(tmp_path)
    last = whole.run_epoch()
    assert len(set(seeds[:2])) == 1
    assert len({seeds[0], seeds[-1], torch.initial_seed()}) == 3
    continued = build()
    continued.restore(tmp_path)
    assert continued.run_epoch().losses == last.losses


def test_a_checkpoint_of_another_trial_is_refused_with_every_difference(
    trial_data: TrialData, make_trial_data: Callable[..., TrialData], tmp_path: Path
) -> None:
    Trainer(_config(), trial_data).save(tmp_path)
    colour = make_trial_data(n_channels=3)
    with pytest.raises(ConfigError) as caught:
        Trainer(_config(lr=0.1, temperature=4.0), colour).restore(tmp_path)
    text = str(caught.value)
    assert len(caught.value.faults) == 3
    assert "its lr is 0.05, here it is 0.1" in text
    assert "its temperature is 2.0, here it is 4.0" in text
    assert "its data image_shape is [1, 8, 8], here it is [3, 8, 8]" in text


def test_evaluation_uses_raw_logits_and_does_not_train(trial_data: TrialData) -> None:
    trainer = Trainer(_config("la", epochs=2), trial_data)
    list(trainer)
    before = _weights(trainer)
    counts = trainer.evaluate(trial_data.val_images, trial_data.val_labels)
    _assert_equal(_weights(trainer), before)
    normalised = (trial_data.val_images / 255 - trial_data.pixel_mean) / trial_data.pixel_std
    with torch.no_grad():
        logits, _ = trainer.student.eval()(torch.from_numpy(normalised).float())
    right = logits.argmax(1).numpy() == trial_data.val_labels
    assert counts.correct == tuple(int(right[trial_data.val_labels == c].sum()) for c in range(3))


class _StubTeacher(nn.Module):
    """Logits and features that are linear in an image's mean, so that a test can tell what it was shown."""

    def __init__(self, state: TeacherState) -> None:
        super().__init__()
        self.n_classes, self.n_features = state.weight.shape
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append(images)
        mean = images.mean(dim=(1, 2, 3))[:, None] / 255
        return mean * torch.arange(self.n_classes), mean + torch.arange(self.n_features)


def test_forward_targets_show_the_teacher_the_mixed_pixels(trial_data: TrialData) -> None:
    teachers: list[_StubTeacher] = []

    def factory(state: TeacherState) -> nn.Module:
        teachers.append(_StubTeacher(state))
        return teachers[0]

    trainer = Trainer(_config(mix_targets="forward", epochs=1), trial_data, teacher_factory=factory)
    forward = trainer.run_epoch()
    assert [tuple(images.shape) for images in teachers[0].seen] == [(16, 1, 8, 8)] * 2
    assert all(images.min() >= 0 and images.max() > 2 and images.max() <= 255 for images in teachers[0].seen)
    interpolated = Trainer(_config(epochs=1), trial_data).run_epoch()
    assert forward.losses["cckd_mix"] != interpolated.losses["cckd_mix"]


def test_interpolated_targets_never_build_a_teacher(trial_data: TrialData) -> None:
    def factory(state: TeacherState) -> nn.Module:
        raise AssertionError("built")

    Trainer(_config(epochs=1), trial_data, teacher_factory=factory).run_epoch()
    with pytest.raises(AssertionError, match="built"):
        Trainer(_config(mix_targets="forward"), trial_data, teacher_factory=factory)


def test_a_loss_that_explodes_is_traced_to_its_term_epoch_and_step(
    trial_data: TrialData, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []

    def exploding_kd(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        calls.append(None)
        return student.mean() * (float("inf") if len(calls) == 4 else 1.0)

    monkeypatch.setattr(soft_targets, "kd", exploding_kd)
    trainer = Trainer(_config("kd"), trial_data)
    trainer.run_epoch()
    with pytest.raises(NonFiniteLossError) as caught:
        trainer.run_epoch()
    assert (caught.value.term, caught.value.epoch, caught.value.step) == ("kd", 2, 1)
    assert trainer.epoch == 1


def test_a_batch_larger_than_the_training_set_is_refused(trial_data: TrialData) -> None:
    with pytest.raises(ConfigError, match="at most the 42 training images; got 43"):
        Trainer(_config("ce", batch_size=43), trial_data)
    assert Trainer(_config("ce", batch_size=42, epochs=1), trial_data).run_epoch().epoch == 1


def test_threads_are_set_where_asked(trial_data: TrialData) -> None:
    Trainer(_config("ce"), trial_data, threads=2)
    assert torch.get_num_threads() == 2
