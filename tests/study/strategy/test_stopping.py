"""When a search is looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.strategy.stopping import SHARE_OF_LEVEL, due, looks, stopping_fault


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
    finished, looked_at, totals = 0, list[int](), list[int]()
    for step in steps:
        finished = min(trials, finished + step)
        totals.append(finished)
        if due(trials, finished, looked_at):
            looked_at.append(finished)
            assert not due(trials, finished, looked_at)
    passed = [n for n in looks(trials) if n <= finished]
    assert len(looked_at) <= len(passed)
    assert bool(looked_at) == any(n <= total < trials for n in passed for total in totals)


def test_a_search_that_is_extended_again_and_again_is_looked_at_four_times() -> None:
    looked_at: list[int] = []
    for trials in (40, 80, 160, 320):
        for finished in range(1, trials + 1):
            if due(trials, finished, looked_at):
                looked_at.append(finished)
    assert looked_at == [20, 25, 30, 35]


@pytest.mark.parametrize(
    ("rule", "trials", "n_objectives", "words"),
    [
        ("trials", 1, 2, None),
        ("settled", 22, 1, None),
        ("settled", 21, 1, "--trials must be 22 or more; got 21"),
        ("settled", 5, 1, "looks at a search after 20 trials or more, before its last"),
        ("settled", 50, 2, "--stop-when must be trials with two objectives"),
    ],
)
def test_a_rule_that_would_never_look_is_refused(rule: str, trials: int, n_objectives: int, words: str | None) -> None:
    found = stopping_fault(rule, trials, n_objectives)
    assert (words in found) if words and found else words == found
