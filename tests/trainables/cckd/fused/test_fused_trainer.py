"""What trials trained as one must have in common with the same trials trained solo: everything but the time.

Over many steps a ReLU's kink stands in the way: where a value lies within rounding of zero on either side, the gradient
jumps, and two runs that were equal to 1e-7 are not any more; a solo run whose first weights differ in the last bit does
the same. Long comparisons therefore use a smooth activation, and the student as it is is compared step by step.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainables.cckd.bundle import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import ConfigError, NonFiniteLossError
from trainables.cckd.fused.trainer import FusedTrainer, joint_learner
from trainables.cckd.methods import LADDER
from trainables.cckd.records import EpochRecord
from trainables.cckd.trainer import Trainer

Configs = Callable[..., list[TrialConfig]]


def _trained(config: TrialConfig, data: TrialData) -> Trainer:
    solo = Trainer(config, data)
    list(solo)
    return solo


def _without_losses_and_seconds(records: tuple[EpochRecord, ...]) -> list[EpochRecord]:
    return [replace(record, losses={}, train_s=0.0, eval_s=0.0) for record in records]


def _assert_equal(fused: Trainer, solo: Trainer, *, within: float = 1e-5) -> None:
    theirs, ours = fused.learner.tensors(), solo.learner.tensors()
    assert theirs.keys() == ours.keys()
    for name, tensor in ours.items():
        np.testing.assert_allclose(theirs[name].numpy(), tensor.numpy(), rtol=0, atol=within, err_msg=name)
    assert _without_losses_and_seconds(fused.records) == _without_losses_and_seconds(solo.records)
    for mine, other in zip(fused.records, solo.records, strict=True):
        assert mine.losses == pytest.approx(other.losses, abs=within)


@pytest.mark.usefixtures("smooth")
@pytest.mark.parametrize("method", LADDER)
def test_twenty_steps_of_every_rung_equal_solo_training(
    make_configs: Configs, trial_data: TrialData, method: str
) -> None:
    configs = make_configs(method)
    fused = FusedTrainer.build(configs, trial_data)
    epochs = list(fused)
    assert [tuple(records) for records in epochs] == [(0, 1, 2)] * 10
    assert fused.running == ()
    for config, trial in zip(configs, fused.trials, strict=True):
        _assert_equal(trial, _trained(config, trial_data))


def test_evaluation_of_a_fused_trial_equals_solo(make_configs: Configs, trial_data: TrialData) -> None:
    configs = make_configs("la", epochs=2)
    fused = FusedTrainer.build(configs, trial_data)
    list(fused)
    for config, trial in zip(configs, fused.trials, strict=True):
        solo = _trained(config, trial_data)
        predicted, _ = trial.judge(trial_data.train_images, trial_data.train_labels)
        wanted, _ = solo.judge(trial_data.train_images, trial_data.train_labels)
        assert (predicted == wanted).all()


def test_twenty_steps_of_the_default_student_each_equal_the_solo_step_from_the_same_state(
    make_configs: Configs, trial_data: TrialData
) -> None:
    solo = [Trainer(config, trial_data) for config in make_configs("acckd")]
    for epoch in range(1, 11):
        for batches in zip(*(trainer.batches.epoch(epoch) for trainer in solo), strict=True):
            fused = joint_learner(solo, "stacked")
            rates = [trainer.config.lr for trainer in solo]
            losses = fused.step(batches, rates)
            for position, (trainer, batch, rate) in enumerate(zip(solo, batches, rates, strict=True)):
                wanted = trainer.learner.step(batch, rate)
                np.testing.assert_allclose(losses[position].numpy(), wanted.numpy(), rtol=0, atol=1e-5)
                ours, theirs = trainer.learner.tensors(), fused.tensors(position)
                for name in ours:
                    if not name.startswith("momentum."):
                        np.testing.assert_allclose(theirs[name].numpy(), ours[name].numpy(), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("smooth")
def test_a_fused_trials_checkpoint_goes_on_solo_and_a_solo_ones_fused(
    make_configs: Configs, trial_data: TrialData, tmp_path: Path
) -> None:
    configs = make_configs("acckd", epochs=4)
    fused = FusedTrainer.build(configs, trial_data)
    fused.run_epoch()
    fused.run_epoch()
    for number, trial in enumerate(fused.trials):
        trial.save(tmp_path / str(number))
    solo = Trainer.load(tmp_path / "0", trial_data)
    assert solo.epoch == 2
    list(solo)
    # The second goes on one epoch solo, and the third from its checkpoint, fused with it.
    ahead = Trainer.load(tmp_path / "1", trial_data)
    ahead.run_epoch()
    again = FusedTrainer([ahead, Trainer.load(tmp_path / "2", trial_data)])
    assert [tuple(records) for records in again] == [(0, 1), (1,)]
    for config, trial in zip(configs, (solo, *again.trials), strict=True):
        _assert_equal(trial, _trained(config, trial_data))


def test_saving_midway_does_not_change_what_follows(
    make_configs: Configs, trial_data: TrialData, tmp_path: Path
) -> None:
    configs = make_configs("cckd", epochs=3)
    watched, left = FusedTrainer.build(configs, trial_data), FusedTrainer.build(configs, trial_data)
    for _ in watched:
        watched.trials[1].save(tmp_path)
    list(left)
    for mine, other in zip(watched.trials, left.trials, strict=True):
        _assert_equal(mine, other, within=0.0)


@pytest.mark.usefixtures("smooth")
def test_a_trial_that_diverges_ends_as_it_would_solo_and_spoils_no_other(
    make_configs: Configs, trial_data: TrialData
) -> None:
    configs = make_configs("acckd", epochs=4)
    configs[1] = TrialConfig.build(configs[1].flat() | {"lr": 1e20, "schedule": "cosine"})
    fused = FusedTrainer.build(configs, trial_data)
    list(fused)
    solo = Trainer(configs[1], trial_data)
    with pytest.raises(NonFiniteLossError) as wanted:
        list(solo)
    assert {trial: str(cause) for trial, cause in fused.causes.items()} == {1: str(wanted.value)}
    assert _without_losses_and_seconds(fused.trials[1].records) == _without_losses_and_seconds(solo.records)
    for trial in (0, 2):
        assert fused.trials[trial].done
        _assert_equal(fused.trials[trial], _trained(configs[trial], trial_data))


@pytest.mark.usefixtures("smooth")
def test_a_dropped_trial_keeps_what_it_had_and_the_others_go_on(make_configs: Configs, trial_data: TrialData) -> None:
    configs = make_configs("kd", epochs=3)
    fused = FusedTrainer.build(configs, trial_data)
    fused.run_epoch()
    fused.drop(0)
    assert fused.running == (1, 2)
    list(fused)
    assert [trial.epoch for trial in fused.trials] == [1, 3, 3]
    alone = Trainer(configs[0], trial_data)
    alone.run_epoch()
    _assert_equal(fused.trials[0], alone)
    _assert_equal(fused.trials[2], _trained(configs[2], trial_data))


@pytest.mark.usefixtures("smooth")
def test_trials_of_different_length_end_at_their_own_epoch(make_configs: Configs, trial_data: TrialData) -> None:
    short, *others = make_configs("ce", epochs=3)
    short = TrialConfig.build(short.flat() | {"epochs": 2})
    fused = FusedTrainer.build([short, *others], trial_data)
    assert [tuple(records) for records in fused] == [(0, 1, 2), (0, 1, 2), (1, 2)]
    for config, trial in zip([short, *others], fused.trials, strict=True):
        _assert_equal(trial, _trained(config, trial_data))


def test_a_records_seconds_are_the_trials_share(make_configs: Configs, trial_data: TrialData) -> None:
    records = FusedTrainer.build(make_configs("ce"), trial_data).run_epoch()
    assert len({record.train_s for record in records.values()}) == 1
    assert all(record.train_s > 0 for record in records.values())


def test_parallel_trials_need_a_gpu(make_configs: Configs, trial_data: TrialData) -> None:
    with pytest.raises(ConfigError, match="parallel trials need a GPU; got device cpu"):
        FusedTrainer.build(make_configs("la"), trial_data, how="parallel")
