"""The question whether to fuse is answered by times alone, and asking changes no trial."""

from collections.abc import Callable

import pytest
import torch

from trainables.cckd.bundle import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.fused.choice import StepSeconds, measure_steps
from trainables.cckd.trainer import Trainer


@pytest.mark.parametrize(
    ("stacked", "parallel", "best"), [(1.0, 2.0, "stacked"), (1.0, 0.5, "parallel"), (2.9, 2.95, None)]
)
def test_joint_training_must_be_faster_by_more_than_chance(stacked: float, parallel: float, best: str | None) -> None:
    seconds = StepSeconds(solo=(1.0, 3.0, 9.0), joint={"stacked": (9.0, stacked, 0.1), "parallel": (parallel,) * 3})
    assert seconds.gain("stacked") == 3.0 / stacked
    assert seconds.best == best


def test_measuring_leaves_every_trial_as_it_was(
    make_configs: Callable[..., list[TrialConfig]], trial_data: TrialData
) -> None:
    configs = make_configs("acckd", epochs=2)
    measured = [Trainer(config, trial_data) for config in configs]
    untouched = [Trainer(config, trial_data) for config in configs]
    for trainer in (*measured, *untouched):
        trainer.run_epoch()
    seconds = measure_steps(measured, turns=2, warm_up=1)
    assert list(seconds.joint) == ["stacked"]
    assert len(seconds.joint["stacked"]) == len(seconds.solo) == 2
    assert min(*seconds.joint["stacked"], *seconds.solo) > 0
    for trainer in (*measured, *untouched):
        trainer.run_epoch()
    for one, other in zip(measured, untouched, strict=True):
        theirs = other.learner.tensors()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in one.learner.tensors().items())
