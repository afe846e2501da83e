import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.cckd.records import curve_epochs, rungs


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(20, (5, 10, 15, 20)), (10, (3, 5, 8, 10)), (5, (2, 3, 4, 5)), (3, (1, 2, 3)), (1, (1,))],
)
def test_rungs_stand_at_the_quarters_rounded_up(epochs: int, expected: tuple[int, ...]) -> None:
    assert rungs(epochs) == expected


@given(st.integers(1, 1000))
def test_nothing_is_judged_before_a_quarter_and_the_last_epoch_always_is(epochs: int) -> None:
    found = rungs(epochs)
    assert found[0] * 4 >= epochs
    assert found[-1] == epochs
    assert list(found) == sorted(set(found))


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(100, range(5, 101, 5)), (20, range(1, 21)), (7, range(1, 8)), (1, [1]), (21, [*range(2, 22)]), (30, None)],
)
def test_a_curve_has_twenty_evenly_spaced_epochs(epochs: int, expected) -> None:
    found = curve_epochs(epochs)
    assert found == tuple(expected or (2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23, 24, 26, 27, 29, 30))


@given(st.integers(1, 1000))
def test_a_curve_has_as_many_points_as_it_can_and_ends_at_the_last_epoch(epochs: int) -> None:
    found = curve_epochs(epochs)
    assert len(found) == min(20, epochs)
    assert found[-1] == epochs
    steps = {later - earlier for earlier, later in zip((0, *found), found, strict=False)}
    assert max(steps) - min(steps) <= 1
