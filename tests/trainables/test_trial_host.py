"""Trials that one process trains together, without Ray: the same numbers, a seat each, and no seat lost to the dead."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError, GetTimeoutError

from tests.trainables.legs import EPOCHS, FLAT, config_of, outcome_of, outcomes_of, run_legs, tiny_world
from trainables import trial as module
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.training.trainer import Trainer
from trainables.trial import HostedContext, HostedTrial
from trainables.trial_context import TrialContext
from trainables.trial_host import TrialHost

Start = Callable[..., HostedTrial]


class _Handle:
    """An actor's handle: calls run in threads of their own, as Ray runs them; `down` calls fail or hang first."""

    def __init__(self, host: TrialHost, pool: ThreadPoolExecutor) -> None:
        self.host, self._pool = host, pool
        self.down: list[Exception] = []

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *args: self._pool.submit(self._call, name, args))

    def _call(self, name: str, args: tuple[Any, ...]) -> Any:
        if self.down:
            raise self.down.pop(0)
        return getattr(self.host, name)(*args)

    def start_anew(self) -> None:
        """As Ray does with an actor that died."""
        self.host = TrialHost(self.host._n_seats)


@pytest.fixture(scope="module")
def data() -> TrialData:
    return tiny_world()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as threads:
        yield threads


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[_Handle]:
    """Handles that were killed, to be started anew."""
    dead: list[_Handle] = []

    def get(reference: Any, timeout: float | None = None) -> Any:
        return reference.result(20) if isinstance(reference, Future) else reference

    def kill(handle: _Handle, *, no_restart: bool) -> None:
        assert not no_restart
        dead.append(handle)

    monkeypatch.setattr(module, "ray", SimpleNamespace(get=get, kill=kill))
    monkeypatch.setattr("trainables.trial_host.ray", SimpleNamespace(get=get))
    monkeypatch.setattr(module, "_AGAIN_S", 0.01)
    return dead


@pytest.fixture
def start(data: TrialData, tmp_path: Path, killed: list[_Handle]) -> Start:
    """Set a trial up as Ray would: `start(handles, number=..., attempt=..., **config)`."""

    def begin(handles: list[_Handle], *, number: int = 7, attempt: int = 1, **changes: Any) -> HostedTrial:
        trial = object.__new__(HostedTrial)
        context = TrialContext(data=data, teacher=None, test=None, device="cpu", precision="float32", threads=1)  # type: ignore[arg-type]
        hosted = HostedContext(tuple(handles), replace(context, leg_s=1e9))
        trial.setup(config_of(tmp_path, number, attempt, None, **changes), hosted)
        return trial

    return begin


def _taken(handle: _Handle) -> list[str]:
    """The numbers of the runs that have a seat."""
    return [Path(name).name for name in handle.host._seats]


def _of_baseline(folder: Path, number: int) -> dict[str, Any]:
    """A trial of a tuned baseline, whose checkpoints have a folder of their own."""
    return config_of(folder / "la", number, 1, None, method="la")


def _plain(data: TrialData, **changes: Any) -> list[tuple[Any, ...]]:
    return [outcome_of(record.to_dict()) for record in Trainer(TrialConfig.build(FLAT | changes), data, threads=1)]


def test_trials_of_one_process_give_what_they_give_alone(start: Start, data: TrialData, pool) -> None:
    host = _Handle(TrialHost(3), pool)
    changes: list[dict[str, Any]] = [{}, {"seed": 4, "batch_size": 8}, {"method": "ce", "seed": 5}]
    trials = [start([host], number=number, **each) for number, each in enumerate(changes)]
    legs = list(pool.map(run_legs, trials))
    assert [outcomes_of(of_trial) for of_trial in legs] == [_plain(data, **each) for each in changes]
    assert [leg["number"] for of_trial in legs for leg in of_trial[:1]] == [0, 1, 2]


def test_faults_are_reported_as_by_a_trial_in_a_process_of_its_own(start: Start, pool) -> None:
    host = _Handle(TrialHost(2), pool)
    diverging, wrong = start([host], number=1, lr=1e30), start([host], number=2, student="no_such_student")
    assert run_legs(diverging)[-1]["cause"].startswith("non-finite loss: ")
    assert run_legs(wrong)[-1]["cause"].startswith("bad configuration: ")


def test_a_trial_goes_to_the_process_that_has_a_seat_and_waits_where_none_has(start: Start, pool) -> None:
    hosts = [_Handle(TrialHost(1), pool), _Handle(TrialHost(1), pool)]
    first, second, third = (start(hosts, number=number) for number in (1, 2, 3))
    first.step()
    second.step()
    assert [_taken(handle) for handle in hosts] == [["1"], ["2"]]
    waiting = pool.submit(run_legs, third)
    with pytest.raises(TimeoutError):
        waiting.result(timeout=0.2)
    first.cleanup()
    assert waiting.result(timeout=10)[-1]["done"]
    assert _taken(hosts[0]) == ["3"]


def test_a_reused_actor_frees_its_seat_for_its_next_trial(start: Start, data: TrialData, tmp_path: Path, pool) -> None:
    host = _Handle(TrialHost(1), pool)
    actor = start([host], number=1, lr=0.01)
    actor.step()
    assert actor.reset_config(config_of(tmp_path, 2, 1, None)) is True
    assert outcomes_of(run_legs(actor)) == _plain(data)
    assert _taken(host) == ["2"]


def test_an_actor_whose_trial_is_given_to_another_one_does_not_touch_it(
    start: Start, data: TrialData, tmp_path: Path, pool
) -> None:
    host = _Handle(TrialHost(2), pool)
    actor = start([host], number=1)
    actor.step()
    superseded = start([host], number=2)
    actor.reset_config(config_of(tmp_path, 2, 1, None))
    legs = [actor.step()]
    superseded.cleanup()
    assert outcomes_of(legs + run_legs(actor)) == _plain(data)
    assert _taken(host) == ["2"]


def test_the_seat_of_a_trial_whose_actor_died_is_its_next_attempts(start: Start, data: TrialData, pool) -> None:
    host = _Handle(TrialHost(1), pool)
    dead = start([host])
    dead.step()
    again = start([host], attempt=2)
    assert outcomes_of(run_legs(again)) == _plain(data)
    with pytest.raises(RuntimeError, match="was restarted, or gave its seat away"):
        dead.step()
    dead.cleanup()  # of a seat that is not its own any more
    assert _taken(host) == ["7"]


def test_a_seat_nobody_asks_for_any_more_is_given_away_where_none_is_free(start: Start, pool, monkeypatch) -> None:
    host = _Handle(TrialHost(2), pool)
    monkeypatch.setattr("trainables.trial_host._SEAT_S", -1.0)
    start([host], number=1).step()
    start([host], number=2).step()
    assert _taken(host) == ["1", "2"]
    start([host], number=3).step()
    assert _taken(host) == ["3"]


def test_a_process_that_died_is_waited_for_and_its_trials_go_on(start: Start, data: TrialData, pool) -> None:
    host = _Handle(TrialHost(1), pool)
    trial = start([host])
    trial.step()
    host.start_anew()
    with pytest.raises(RuntimeError, match="was restarted"):
        trial.step()
    restarting = [ActorUnavailableError("restarting", None), ActorUnavailableError("restarting", None)]
    host.down = [*restarting]
    again = start([host], attempt=2)
    assert host.down == []
    host.down = [*restarting]
    legs = run_legs(again)
    assert len(legs) < EPOCHS, "it does not begin anew"
    assert outcomes_of(legs) == _plain(data)


def test_a_process_that_hangs_is_started_anew(start: Start, data: TrialData, pool, killed: list[_Handle]) -> None:
    host = _Handle(TrialHost(1), pool)
    trial = start([host])
    host.down = [GetTimeoutError("no answer")]
    assert outcomes_of(run_legs(trial)) == _plain(data)
    assert killed == [host]


def test_a_trial_that_finds_no_seat_for_long_says_so(start: Start, pool, monkeypatch) -> None:
    host = _Handle(TrialHost(1), pool)
    start([host], number=1).step()
    monkeypatch.setattr(module, "_BEGIN_S", 0.05)
    with pytest.raises(RuntimeError, match=r"no process had a free seat for the trial within 0\.1 s"):
        start([host], number=2).step()


def test_a_baselines_trial_is_not_the_methods_of_the_same_number(start: Start, data: TrialData, tmp_path, pool) -> None:
    actor = start([_Handle(TrialHost(2), pool)], number=3)
    run_legs(actor)
    actor.reset_config(_of_baseline(tmp_path, 3))
    assert outcomes_of(run_legs(actor)) == _plain(data, method="la")


def test_an_actor_frees_the_seat_of_its_own_run_and_not_of_a_baselines_of_the_same_number(
    start: Start, data: TrialData, tmp_path: Path, pool
) -> None:
    host = _Handle(TrialHost(2), pool)
    one, two = start([host], number=3), start([host], number=2)
    for actor in (one, two):
        run_legs(actor)
    two.reset_config(_of_baseline(tmp_path, 3))
    one.reset_config(_of_baseline(tmp_path, 4))
    legs = [two.step()]
    one.step()
    assert outcomes_of(legs + run_legs(two)) == _plain(data, method="la")
