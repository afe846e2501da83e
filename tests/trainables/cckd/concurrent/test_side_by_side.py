"""Trials side by side are the same trials alone, whatever they differ in; what befalls one befalls no other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.concurrent.side_by_side import SideBySide
from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import NonFiniteLossError
from trainables.cckd.records import EpochRecord
from trainables.cckd.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

#: Nothing in common: loss terms, batch sizes and so steps an epoch, students, rungs.
MOTLEY: tuple[dict[str, Any], ...] = (
    {"method": "acckd", "seed": 1, "batch_size": 16, "epochs": 4},
    {"method": "ce", "seed": 2, "batch_size": 8, "epochs": 5},
    {"method": "cckd", "seed": 3, "batch_size": 20, "epochs": 3, "student": "resnet20_cifar"},
)


def _built(settings: Sequence[dict[str, Any]], data: TrialData) -> list[Trainer]:
    return [Trainer(TrialConfig.build(each), data) for each in settings]


def _run_all(trainers: Sequence[Trainer]) -> list[Exception]:
    """Train to all ends; return what was raised."""
    device, faults = SideBySide(), []
    going = list(trainers)
    while going:
        outcomes = device.run_epochs(going)
        faults += [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        going = [
            trainer
            for trainer, outcome in zip(going, outcomes, strict=True)
            if isinstance(outcome, EpochRecord) and not trainer.done
        ]
    return faults


def _results(trainer: Trainer) -> tuple[Any, ...]:
    records = [replace(record, train_s=0.0, eval_s=0.0) for record in trainer.records]
    return records, {name: tensor.numpy().tobytes() for name, tensor in trainer.learner.tensors().items()}


def test_trials_with_nothing_in_common_end_bitwise_as_alone(trial_data: TrialData) -> None:
    together, alone = _built(MOTLEY, trial_data), _built(MOTLEY, trial_data)
    assert _run_all(together) == []
    for trainer in alone:
        list(trainer)
    assert [trainer.epoch for trainer in together] == [4, 5, 3]
    assert [_results(trainer) for trainer in together] == [_results(trainer) for trainer in alone]


def test_steps_are_taken_in_turns(trial_data: TrialData, monkeypatch: pytest.MonkeyPatch) -> None:
    trainers = _built(MOTLEY[:2], trial_data)
    taken: list[int] = []
    for k, trainer in enumerate(trainers):
        step = trainer.learner.step
        monkeypatch.setattr(trainer.learner, "step", lambda *of, k=k, step=step: taken.append(k) or step(*of))
    SideBySide().run_epochs(trainers)
    assert taken[:4] == [0, 1, 0, 1]
    assert taken.count(0) == trainers[0].batches.n_steps
    assert taken.count(1) == trainers[1].batches.n_steps


def test_a_trial_that_diverges_ends_alone(trial_data: TrialData) -> None:
    settings = [MOTLEY[0], MOTLEY[1] | {"lr": 1e30}]
    together, (alone, _) = _built(settings, trial_data), _built(settings, trial_data)
    (fault,) = _run_all(together)
    assert isinstance(fault, NonFiniteLossError)
    list(alone)
    assert _results(together[0]) == _results(alone)


def test_what_a_step_raises_is_of_its_trial(trial_data: TrialData, monkeypatch: pytest.MonkeyPatch) -> None:
    trainers = _built(MOTLEY, trial_data)

    def full(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainers[1].learner, "step", full)
    first, second, third = SideBySide().run_epochs(trainers)
    assert isinstance(first, EpochRecord)
    assert isinstance(second, torch.OutOfMemoryError)
    assert isinstance(third, EpochRecord)


def test_students_that_draw_random_numbers_keep_their_own_stream(trial_data: TrialData) -> None:
    def noisy() -> list[Trainer]:
        trainers = _built([MOTLEY[1] | {"seed": seed} for seed in (2, 3)], trial_data)
        for trainer in trainers:
            trainer.student.net.bn1 = nn.Sequential(trainer.student.net.bn1, nn.Dropout(0.5))
        return trainers

    together, alone = noisy(), noisy()
    assert _run_all(together) == []
    for trainer in alone:
        list(trainer)
    assert [_results(trainer) for trainer in together] == [_results(trainer) for trainer in alone]


def test_a_record_tells_the_trials_share_of_the_time(trial_data: TrialData, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 16.0])
    monkeypatch.setattr("trainables.cckd.concurrent.side_by_side.perf_counter", lambda: next(clock))
    outcomes = SideBySide().run_epochs(_built(MOTLEY, trial_data))
    assert [outcome.train_s for outcome in outcomes if isinstance(outcome, EpochRecord)] == [2.0, 2.0, 2.0]
