"""When a search is looked at."""

from hypothesis import given
from hypothesis import strategies as st

from study.strategy.stopping import SHARE_OF_LEVEL, due, looks


def test_a_search_is_looked_at_from_its_half_on() -> None:
    assert looks(50) == (25, 32, 38, 44)
    assert looks(160) == (80, 100, 120, 140)


def test_a_search_too_short_to_judge_is_looked_at_late_or_never() -> None:
    assert looks(30) == (23, 27)
    assert looks(20) == ()


@given(trials=st.integers(1, 5000))
def test_all_looks_together_spend_the_level_at_most_once(trials: int) -> None:
    found = looks(trials)
    assert len(found) * SHARE_OF_LEVEL <= 1
    assert list(found) == sorted(set(found))
    assert all(20 <= n < trials for n in found)


@given(trials=st.integers(1, 500), steps=st.lists(st.integers(1, 40)))
def test_each_look_is_due_once_however_many_trials_end_at_a_time(trials: int, steps: list[int]) -> None:
    finished, looked_at, taken = 0, 0, 0
    for step in steps:
        finished = min(trials, finished + step)
        if due(trials, finished, looked_at):
            looked_at, taken = finished, taken + 1
            assert not due(trials, finished, looked_at)
    passed = [n for n in looks(trials) if n <= finished]
    assert taken <= len(passed)
    assert (taken > 0) == any(n <= total < trials for n in passed for total in _totals(steps, trials))


def _totals(steps: list[int], trials: int) -> list[int]:
    return [min(trials, sum(steps[: k + 1])) for k in range(len(steps))]
