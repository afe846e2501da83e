"""Threads meet epoch by epoch, wait for nobody who does not train, and end when one of them fails."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, get_ident
from typing import Any

from trainables.cckd.concurrent.epoch_barrier import EpochBarrier
from trainables.cckd.concurrent.side_by_side import Outcome


class _Trial:
    """Stands for a Trainer: the barrier only hands it on."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Device:
    """Notes who trained together; an outcome is the trial's name, or what `raises` has for it."""

    def __init__(self, raises: dict[str, Exception] | None = None) -> None:
        self.together: list[set[str]] = []
        self.threads: set[int] = set()
        self.n_inside = 0
        self._raises = raises or {}

    def run_epochs(self, trials: Sequence[Any]) -> list[Outcome]:
        assert self.n_inside == 0, "the device is one thread's at a time"
        self.n_inside += 1
        time.sleep(0.002)
        self.threads.add(get_ident())
        self.together.append({trial.name for trial in trials})
        self.n_inside -= 1
        outcomes: list[Any] = [self._raises.get(trial.name, trial.name) for trial in trials]
        return outcomes


def _train(barrier: EpochBarrier, name: str, n_epochs: int, before: Callable[[], object] = lambda: None) -> list[Any]:
    trial: Any = _Trial(name)
    with barrier.leg():
        before()
        return [barrier.run_epoch(trial) for _ in range(n_epochs)]


def _at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Results, or what was raised; that a thread waits for ever fails the test."""
    with ThreadPoolExecutor(len(calls)) as pool:
        futures: list[Future[Any]] = [pool.submit(call) for call in calls]
        return [future.exception(timeout=20) or future.result() for future in futures]


def test_legs_that_overlap_train_together_and_a_longer_one_goes_on_alone() -> None:
    device = _Device()
    barrier, b_is_there = EpochBarrier(device.run_epochs), Event()

    def other_comes() -> None:
        # B cannot have the device yet, but it is expected from here on.
        b_is_there.set()
        while barrier._n_expected < 2:
            time.sleep(0.001)

    def b() -> list[Any]:
        b_is_there.wait(10)
        return _train(barrier, "b", 2)

    assert _at_once(lambda: _train(barrier, "a", 4, other_comes), b) == [["a"] * 4, ["b"] * 2]
    assert device.together == [{"a", "b"}, {"a", "b"}, {"a"}, {"a"}]


def test_many_threads_with_many_legs_come_to_an_end_and_lose_no_epoch() -> None:
    device = _Device()
    barrier = EpochBarrier(device.run_epochs)

    def legs(name: str, n_legs: int) -> int:
        return sum(len(_train(barrier, name, 3)) for _ in range(n_legs))

    done = _at_once(*(lambda k=k: legs(str(k), k) for k in range(1, 9)))
    assert done == [3 * k for k in range(1, 9)]
    assert sum(map(len, device.together)) == sum(done)
    assert max(map(len, device.together)) > 4, "they train together"
    assert len(device.threads) == 1, "always in the same thread"


def test_what_one_trial_raises_is_raised_in_its_thread_alone() -> None:
    device = _Device({"b": ValueError("of b")})
    barrier = EpochBarrier(device.run_epochs)
    a, b = _at_once(lambda: _train(barrier, "a", 3), lambda: _train(barrier, "b", 3))
    assert a == ["a"] * 3
    assert isinstance(b, ValueError)


def test_a_device_that_breaks_breaks_all_and_none_waits_for_ever() -> None:
    def broken(trials: Sequence[Any]) -> list[Outcome]:
        raise RuntimeError("broken")

    barrier = EpochBarrier(broken)
    ends = _at_once(*(lambda k=k: _train(barrier, str(k), 1) for k in range(4)))
    assert all(isinstance(end, RuntimeError) for end in ends)


def test_a_leg_that_fails_before_its_first_epoch_is_not_waited_for() -> None:
    device = _Device()
    barrier = EpochBarrier(device.run_epochs)

    def fails() -> None:
        raise OSError("no checkpoint")

    a, b = _at_once(lambda: _train(barrier, "a", 2), lambda: _train(barrier, "b", 2, fails))
    assert a == ["a"] * 2
    assert isinstance(b, OSError)


def test_who_is_alone_with_the_device_is_not_disturbed_and_not_waited_for() -> None:
    device = _Device()
    barrier = EpochBarrier(device.run_epochs)
    with ThreadPoolExecutor(1) as pool:
        with barrier.alone():
            future = pool.submit(_train, barrier, "a", 1)
            time.sleep(0.05)
            assert not future.done()
            assert device.together == []
        assert future.result(timeout=10) == ["a"]
