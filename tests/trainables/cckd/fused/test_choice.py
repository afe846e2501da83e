"""The question whether to fuse is answered by times alone, and asking changes no trial."""

from collections.abc import Callable

import pytest
import torch

from trainables.cckd.bundle import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.fused.choice import StepSeconds, measure_steps
from trainables.cckd.trainer import Trainer


@pytest.mark.parametrize(("solo", "faster"), [((3.0, 1.2, 1.0), True), ((3.0, 1.05, 1.0), False)])
def test_fused_training_must_be_faster_by_more_than_chance(solo: tuple[float, ...], faster: bool) -> None:
    seconds = StepSeconds(fused=(1.0, 1.0, 9.0), solo=solo)
    assert seconds.gain == solo[1]
    assert seconds.faster is faster


def test_measuring_leaves_every_trial_as_it_was(
    make_configs: Callable[..., list[TrialConfig]], trial_data: TrialData
) -> None:
    configs = make_configs("acckd", epochs=2)
    measured = [Trainer(config, trial_data) for config in configs]
    untouched = [Trainer(config, trial_data) for config in configs]
    for trainer in (*measured, *untouched):
        trainer.run_epoch()
    seconds = measure_steps(measured, turns=2, warm_up=1)
    assert len(seconds.fused) == len(seconds.solo) == 2
    assert min(*seconds.fused, *seconds.solo) > 0
    for trainer in (*measured, *untouched):
        trainer.run_epoch()
    for one, other in zip(measured, untouched, strict=True):
        theirs = other.learner.tensors()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in one.learner.tensors().items())
