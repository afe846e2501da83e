"""The callback on every turn of Ray's loop: progress, and the first and second Ctrl-C."""

import pickle
import signal
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from study.execution.attempts import AttemptLog
from study.execution.failure_budget import FailureBudget
from study.execution.tuner import Phase, Places, StepCallback, run_trials
from study.execution.workers import Workers


def test_the_progress_callback_is_called_every_turn_and_pickles_without_what_it_holds() -> None:
    turns = []
    callback = StepCallback(turns.append, lambda: None)
    callback.on_step_end(1, ["trial"])
    callback.on_step_end(2, [])
    assert turns == [["trial"], []]
    pickle.loads(pickle.dumps(callback))


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
    callback = StepCallback(lambda trials: during(), lambda: told.append(loop.ended))
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
    plan: Any = SimpleNamespace(cpus_per_trial=1.0, gpus_per_trial=0.0, trial_timeout=0.0)
    scheduler: Any = SimpleNamespace(attempts=AttemptLog(FailureBudget(max_retries=0, max_failures=0)))
    searcher: Any = None
    phase = Phase(searcher, scheduler, ("/tmp", "ray"), lambda: said.append("turn"))
    with pytest.raises(KeyboardInterrupt):
        run_trials(plan, Workers(1), object, None, phase)
    assert said == ["turn"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_trial_is_kept_to_the_nodes_of_its_moment_and_stranded_when_all_are_lost() -> None:
    one = {"CPU": 1.0}
    usable: dict[str, dict[str, float]] = {"a": one, "b": one, "head": {}}
    places = Places(SimpleNamespace(usable=lambda: dict(usable)), {"CPU": 1.0, "GPU": 0.0})  # type: ignore[arg-type]
    wanted: dict[str, Any] = {}

    def trial(name: str, status: str = "PENDING") -> Any:
        made = SimpleNamespace(trial_id=name, status=status)
        made.update_resources = lambda factory: wanted.update({name: factory})
        places.choose(made)
        return made

    trials = [trial("1"), trial("2", "RUNNING")]
    assert wanted["1"].required_resources == {"CPU": 1.0}
    assert wanted["1"] == wanted["2"], "so that one worker can take both"
    del usable["a"]
    trials.append(trial("3"))
    assert wanted["3"] != wanted["1"]
    assert list(places.stranded(trials)) == []
    usable = {"c": one, "head": {}}
    assert list(places.stranded(trials)) == [trials[0], trials[2]], "a running trial crashes by itself"
    usable = {}
    trials = [trial("4")]
    assert "4" not in wanted
    assert list(places.stranded(trials)) == trials
