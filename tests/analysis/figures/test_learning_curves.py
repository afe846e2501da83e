"""Names beside the lines do not touch, and stay near their lines."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.figures.learning_curves import apart


@pytest.mark.parametrize(
    ("places", "moved"),
    [
        ([], []),
        ([1.0], [1.0]),
        ([1.0, 5.0], [1.0, 5.0]),
        ([1.0, 1.0], [0.5, 1.5]),
        ([1.0, 1.5, 9.0], [0.75, 1.75, 9.0]),
        ([0.0, 0.9, 1.1], [2 / 3 - 1, 2 / 3, 2 / 3 + 1]),
    ],
)
def test_names_that_touch_are_moved_apart_around_their_middle(places: list[float], moved: list[float]) -> None:
    assert apart(places, 1.0) == pytest.approx(moved)


@given(st.lists(st.floats(0, 100), max_size=8).map(sorted), st.floats(0.1, 10))
def test_names_keep_their_order_their_distance_and_their_mean(places: list[float], gap: float) -> None:
    moved = apart(places, gap)
    assert all(later - earlier >= gap - 1e-9 for earlier, later in pairwise(moved))
    assert sum(moved) == pytest.approx(sum(places), abs=1e-6)
