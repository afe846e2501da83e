"""The speed is the wall clock's over the last minutes, and a study that stands still says so, ever more rarely."""

import pytest

from study.terminal import pace as module
from study.terminal.pace import Pace, Silence, TimeBudget
from study.terminal.progress import duration


class Clock:
    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module.time, "monotonic", lambda: made.now)
    return made


def _run(pace: Pace, clock: Clock, seconds: int, every_s: int, n: int) -> None:
    for _ in range(0, seconds, every_s):
        clock.now += every_s
        pace.note(n)


def test_nothing_is_said_before_something_is_measured(clock: Clock) -> None:
    pace = Pace()
    assert pace.seconds_for(10) is None
    pace.note(4)
    clock.now += 5.0
    pace.note(4)
    assert pace.seconds_for(10) is None, "five seconds are too few"
    clock.now += 5.0
    assert pace.seconds_for(10) == pytest.approx(10 / (4 / 10))


def test_the_speed_follows_the_last_minutes(clock: Clock) -> None:
    pace = Pace()
    _run(pace, clock, 3000, every_s=10, n=20)  # two per second
    assert pace.seconds_for(120) == pytest.approx(60, rel=0.05)
    _run(pace, clock, 600, every_s=10, n=5)  # a quarter of it, since ten minutes
    assert pace.seconds_for(120) == pytest.approx(240, rel=0.05)
    assert pace.done == 300 * 20 + 60 * 5


def test_a_study_that_stands_still_has_ever_more_time_left(clock: Clock) -> None:
    pace = Pace()
    _run(pace, clock, 300, every_s=10, n=10)
    before = pace.seconds_for(100)
    clock.now += 300
    after = pace.seconds_for(100)
    assert before is not None
    assert after is not None
    assert after == pytest.approx(2 * before, rel=0.05)


def test_work_fits_until_the_time_is_over(clock: Clock) -> None:
    half = TimeBudget(0.5)
    assert half.fits(1800)
    assert not half.fits(1801)
    assert half.fits(None), "work of unknown length is begun"
    clock.now += 1000
    assert half.fits(800)
    assert not half.fits(801)
    clock.now += 800
    assert half.fits(None)
    for after in (0.5, 60, 3600):
        clock.now += after
        assert not half.fits(None), "no work of any length is begun when the time is over"
        assert not half.fits(0)
    unlimited = TimeBudget(None)
    clock.now += 1e6
    assert unlimited.fits(1e9)
    assert unlimited.fits(None)


def test_silence_is_broken_after_one_two_and_four_minutes(clock: Clock) -> None:
    said: list[str] = []
    silence = Silence(said.append, "no part is finished", lambda: "load average 4.0 on 2 cores")
    for _ in range(44):
        clock.now += 10
        silence()
    line = "NOTE     no part is finished for {}; load average 4.0 on 2 cores"
    assert said == [line.format(spelled) for spelled in ("60 s", "2 min", "4 min")]
    silence.end()
    clock.now += 59
    silence()
    assert len(said) == 3
    clock.now += 1
    silence()
    assert len(said) == 4
    for least_s, first_s in ((100.0, 100), (20.0, 60)):
        silence.end(least_s)
        clock.now += first_s - 1
        silence()
        assert len(said) == 4
        clock.now += 1
        silence()
        assert said.pop().startswith(f"NOTE     no part is finished for {duration(first_s)};")
