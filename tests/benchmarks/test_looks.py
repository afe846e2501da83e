"""A search that is looked at ends where the product's rule says, and is compared with the whole search."""

import pytest

from benchmarks import looks as module
from benchmarks.looks import Ended, keeps, looked_at, row_of
from benchmarks.searches import TRUTHS
from study.strategy.stopping import looks

PEAK = TRUTHS[1]


def test_a_search_ends_at_the_first_look_that_finds_it_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    class Found:
        def __init__(self, trials: list[object], knobs: object, share: float, best: object) -> None:
            counts.append(len(trials))
            self.settled = len(trials) >= 25

    monkeypatch.setattr(module, "judged", Found)
    ended, whole = looked_at(PEAK, 40, 0)
    assert counts == [20, 25]
    assert (ended.settled, ended.n, whole.settled, whole.n, whole.cost) == (True, 25, False, 40, 0.0)


def test_a_search_that_no_look_finds_settled_is_looked_at_to_the_last_and_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts: list[int] = []

    class Found:
        settled = False

        def __init__(self, trials: list[object], knobs: object, share: float, best: object) -> None:
            counts.append(len(trials))

    monkeypatch.setattr(module, "judged", Found)
    ended, whole = looked_at(PEAK, 40, 1)
    assert counts == [*looks(40)]
    assert ended == whole
    assert (ended.settled, ended.n, ended.cost) == (False, 40, 0.0)


def test_vain_names_beyond_the_level_break_the_bound_and_stand_in_the_table() -> None:
    good, bad = Ended(True, 25, False, 0.5), Ended(True, 25, True, 0.5)
    assert keeps([good] * 95 + [bad] * 5)
    assert not keeps([good] * 80 + [bad] * 20)
    row = row_of(PEAK, [(good, good)] * 3 + [(bad, good)])
    assert "| 100.0 % (51.0 to 100.0) | 25 | 25.0 % (" in row
    assert row.endswith("| 0.50 ± 0.00 |")
