"""What a cluster offers is turned into workers, and too little of it is said in plain words."""

import pickle
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from ray.tune.tune import air_usage

from study.execution.cluster import ClusterError
from study.execution.tuner import Workers, _decoders, _step_callback, _uncounted_callbacks, _workers, run_trials


@dataclass
class _Plan:
    """The part of a StudyPlan that decides the workers."""

    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    max_concurrent: int | None = None
    trials_per_process: int = 1


@pytest.mark.parametrize(
    ("plan", "nodes", "expected"),
    [
        (_Plan(), [{"CPU": 2.0}], Workers(2, 1, "cpu")),
        (_Plan(max_concurrent=1), [{"CPU": 8.0}], Workers(1, 1, "cpu")),
        (_Plan(max_concurrent=9), [{"CPU": 2.0}], Workers(2, 1, "cpu")),
        (_Plan(cpus_per_trial=4), [{"CPU": 15.0}], Workers(3, 4, "cpu")),
        (_Plan(cpus_per_trial=0.5), [{"CPU": 2.0}], Workers(4, 1, "cpu")),
        (_Plan(gpus_per_trial=0.25), [{"CPU": 16.0, "GPU": 1.0}], Workers(4, 1, "cuda")),
        (_Plan(gpus_per_trial=1), [{"CPU": 2.0, "GPU": 8.0}], Workers(2, 1, "cuda")),
        (_Plan(), [{"CPU": 2.0}, {"CPU": 4.0}, {}], Workers(6, 1, "cpu")),
        (_Plan(cpus_per_trial=2), [{"CPU": 3.0}, {"CPU": 3.0}], Workers(2, 2, "cpu")),
        (_Plan(cpus_per_trial=0, gpus_per_trial=0.5), [{"CPU": 1.0, "GPU": 2.0}], Workers(4, 1, "cuda")),
        (_Plan(trials_per_process=2), [{"CPU": 5.0}, {"CPU": 1.0}], Workers(4, 1, "cpu", per_process=2)),
        (_Plan(1, 0.25, None, 4), [{"CPU": 16.0, "GPU": 2.0}], Workers(8, 1, "cuda", per_process=4)),
        (_Plan(1, 0.25, 3, 4), [{"CPU": 16.0, "GPU": 2.0}], Workers(3, 1, "cuda", per_process=3)),
        (_Plan(1, 0.25, None, 3), [{"CPU": 16.0, "GPU": 2.0}], Workers(6, 1, "cuda", per_process=3)),
        (_Plan(1, 0.3, None, 2), [{"CPU": 16.0, "GPU": 2.0}], Workers(4, 1, "cuda", per_process=2)),
        (_Plan(1, 1 / 49, None, 49), [{"CPU": 64.0, "GPU": 1.0}], Workers(49, 1, "cuda", per_process=49)),
        (_Plan(1, 0.25, None, 4), [{"CPU": 6.0, "GPU": 2.0}], Workers(4, 1, "cuda", per_process=4)),
    ],
)
def test_as_many_trials_run_at_once_as_fit_and_were_asked_for(plan, nodes, expected) -> None:
    assert replace(_workers(plan, nodes), decoders=0) == expected


@pytest.mark.parametrize(
    ("gpus", "nodes", "decoders"),
    [
        (1.0, [{"CPU": 16.0, "GPU": 1.0}], 15),
        (0.25, [{"CPU": 16.0, "GPU": 1.0}], 3),
        (1.0, [{"CPU": 64.0}, {"CPU": 32.0, "GPU": 4.0}, {"CPU": 16.0, "GPU": 4.0}], 3),
        (2.0, [{"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0, "GPU": 4.0}], 3),
        (1.0, [{"CPU": 2.0, "GPU": 2.0}], 0),
        (1.0, [], 0),
    ],
)
def test_a_task_with_a_gpu_decodes_on_its_share_of_its_nodes_cores(gpus, nodes, decoders) -> None:
    assert _decoders(gpus, nodes) == decoders


def test_without_a_gpu_no_processes_decode_ahead() -> None:
    assert _workers(_Plan(), [{"CPU": 16.0}]).decoders == 0


@pytest.mark.parametrize("plan", [_Plan(cpus_per_trial=3), _Plan(1, 1)])
def test_a_cluster_that_fits_no_trial_is_said_with_all_numbers(plan) -> None:
    asked = f"asks for {plan.cpus_per_trial:g} CPUs and {plan.gpus_per_trial:g} GPUs, its nodes have 2 and 0, 2 and 0"
    with pytest.raises(ClusterError, match=asked):
        _workers(plan, [{"CPU": 2.0}, {"CPU": 2.0}])


def test_too_few_resources_for_the_trials_of_one_process_are_said() -> None:
    with pytest.raises(ClusterError, match="1 CPUs and 0 GPUs, 4 of them a process, its nodes have 2 and 0"):
        _workers(_Plan(trials_per_process=4), [{"CPU": 2.0}])


def test_the_progress_callback_is_called_every_turn_and_pickles_without_what_it_holds() -> None:
    turns = []
    callback = _step_callback(turns.append, lambda: None)
    callback.on_step_end(1, ["trial"])
    callback.on_step_end(2, [])
    assert turns == [["trial"], []]
    pickle.loads(pickle.dumps(callback))


@pytest.mark.parametrize(("statistics", "imported"), [("0", False), ("1", True)])
def test_trackers_are_imported_only_for_statistics_that_are_on(monkeypatch, statistics: str, imported: bool) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", statistics)
    counted: list[Any] = []
    monkeypatch.setattr("ray.air._internal.usage._count_callbacks", lambda callbacks: counted.append(callbacks) or {})
    with _uncounted_callbacks():
        # As ray.tune.run does; were the name another one some day, nothing would be imported less.
        air_usage.tag_callbacks(["callback"])
    assert bool(counted) is imported
    air_usage.tag_callbacks(["callback"])
    assert counted, "as before"


class _Loop:
    """Tune's loop as far as Ctrl-C goes: its handler ends the loop, and puts the one before it back."""

    def __init__(self) -> None:
        self.ended = False
        self._before = signal.signal(signal.SIGINT, self._hear)

    def _hear(self, *_: object) -> None:
        self.ended = True
        signal.signal(signal.SIGINT, self._before)


def _press() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def loop() -> Iterator[_Loop]:
    # What stands before an & in a script is deaf to Ctrl-C, these tests too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield _Loop()
    signal.signal(signal.SIGINT, before)


def _told(loop: _Loop, during: Callable[[], None] = lambda: None) -> tuple[Any, list[bool]]:
    """A callback in the loop, and the list of whether the loop had ended when the user was told; `during` its turn."""
    told: list[bool] = []
    callback = _step_callback(lambda trials: during(), lambda: told.append(loop.ended))
    callback.setup()
    return callback, told


@pytest.mark.parametrize("during", [False, True], ids=["between turns", "during our part of the turn"])
def test_ctrl_c_is_told_before_the_loop_ends_wherever_it_falls(loop: _Loop, during: bool) -> None:
    callback, told = _told(loop, _press if during else lambda: None)
    if not during:
        _press()
    assert not loop.ended
    callback.on_step_end(1, [])
    assert told == [False]
    assert loop.ended


def test_without_ctrl_c_nothing_is_told_and_the_loop_goes_on(loop: _Loop) -> None:
    callback, told = _told(loop)
    callback.on_step_end(1, [])
    assert (told, loop.ended, callback.interrupted) == ([], False, False)


@pytest.mark.parametrize("turn_ended", [False, True])
def test_a_second_ctrl_c_raises_at_once(loop: _Loop, turn_ended: bool) -> None:
    callback, _ = _told(loop)
    _press()
    if turn_ended:
        callback.on_step_end(1, [])
    with pytest.raises(KeyboardInterrupt):
        _press()


def test_ctrl_c_in_the_clean_up_behind_the_last_turn_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tuner:
        def __init__(self, trainable: Any, *, run_config: Any, **_: Any) -> None:
            (self._callback,) = run_config.callbacks

        def fit(self) -> None:
            _Loop()
            self._callback.setup()
            self._callback.on_step_end(1, [])
            _press()

    monkeypatch.setattr("ray.tune.Tuner", Tuner)
    for wrap in ("with_parameters", "with_resources"):
        monkeypatch.setattr(f"ray.tune.{wrap}", lambda trainable, *_, **__: trainable)
    before, said = signal.getsignal(signal.SIGINT), []
    given: Any = {"trainable": object, "context": None, "searcher": None, "scheduler": None, "folder": ("/tmp", "ray")}
    with pytest.raises(KeyboardInterrupt):
        run_trials(_Plan(), Workers(1, 1, "cpu"), **given, on_step=said.append)  # type: ignore[arg-type]
    assert said == [[]]
    assert signal.getsignal(signal.SIGINT) is before
