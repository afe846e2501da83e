"""Errors survive the way from one process to another."""

import pickle

import pytest

from trainables.cckd.errors import DamagedImageError, DataError, NonFiniteLossError, UsageError, first_few


@pytest.mark.parametrize(
    "error",
    [
        UsageError(["one", "two"]),
        DataError("one"),
        DamagedImageError("/a/3.png", "is torn"),
        NonFiniteLossError("kd", float("inf"), 3, 4),
    ],
)
def test_an_error_is_the_same_behind_a_pickle(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_a_damaged_image_is_a_fault_of_the_data_in_one_line() -> None:
    error = DamagedImageError("/a/3.png", "is torn")
    assert isinstance(error, DataError)
    assert error.faults == ("/a/3.png is torn",)


def test_ten_are_named_and_the_others_counted() -> None:
    assert first_few(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert first_few(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
