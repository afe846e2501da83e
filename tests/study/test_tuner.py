"""What a cluster offers is turned into workers, and too little of it is said in plain words."""

import pickle
from dataclasses import dataclass

import pytest

from study.tuner import Workers, _step_callback, _workers


@dataclass
class _Plan:
    """The part of a StudyPlan that decides the workers."""

    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    max_concurrent: int | None = None


@pytest.mark.parametrize(
    ("plan", "resources", "expected"),
    [
        (_Plan(), {"CPU": 2.0}, Workers(2, 1, "cpu")),
        (_Plan(max_concurrent=1), {"CPU": 8.0}, Workers(1, 1, "cpu")),
        (_Plan(max_concurrent=9), {"CPU": 2.0}, Workers(2, 1, "cpu")),
        (_Plan(cpus_per_trial=4), {"CPU": 15.0}, Workers(3, 4, "cpu")),
        (_Plan(cpus_per_trial=0.5), {"CPU": 2.0}, Workers(4, 1, "cpu")),
        (_Plan(gpus_per_trial=0.25), {"CPU": 16.0, "GPU": 1.0}, Workers(4, 1, "cuda")),
        (_Plan(gpus_per_trial=1), {"CPU": 2.0, "GPU": 8.0}, Workers(2, 1, "cuda")),
        (_Plan(cpus_per_trial=0, gpus_per_trial=0.5), {"CPU": 1.0, "GPU": 2.0}, Workers(4, 1, "cuda")),
    ],
)
def test_as_many_trials_run_at_once_as_fit_and_were_asked_for(plan, resources, expected) -> None:
    assert _workers(plan, resources) == expected


@pytest.mark.parametrize(("plan", "resources"), [(_Plan(cpus_per_trial=3), {"CPU": 2.0}), (_Plan(1, 1), {"CPU": 2.0})])
def test_a_cluster_that_fits_no_trial_is_said_with_both_numbers(plan, resources) -> None:
    asked = f"asks for {plan.cpus_per_trial:g} CPUs and {plan.gpus_per_trial:g} GPUs, the cluster has 2 and 0"
    with pytest.raises(RuntimeError, match=asked):
        _workers(plan, resources)


def test_the_progress_callback_is_called_every_turn_and_pickles_without_what_it_holds() -> None:
    turns = []
    callback = _step_callback(lambda: turns.append(1))
    callback.on_step_end(1, [])
    callback.on_step_end(2, [])
    assert turns == [1, 1]
    pickle.loads(pickle.dumps(callback))
