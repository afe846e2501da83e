import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.cckd.records import rungs


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
