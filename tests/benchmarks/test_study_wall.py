"""Searches are held against the goals from half a default study on, which the product decides."""

import pytest

from benchmarks.study_wall import Budget, long_enough, rows
from search_spaces.registry import get_space
from trainables.cckd.data.spec import parse_data


@pytest.mark.parametrize("data", ["fashion_mnist_lt", "digits_lt"])
def test_the_default_study_has_the_trials_of_its_space_and_the_epochs_of_its_recipe(data: str) -> None:
    default = Budget.of_default_study(data)
    assert default.trials == get_space("acckd_full").default_trials
    assert default.epochs == parse_data(data).info.recipe().epochs
    assert 2 * default.half.trials - default.trials in (0, 1)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_search_of_half_a_default_study_is_judged_and_a_shorter_one_is_not(missing: int) -> None:
    half = Budget.of_default_study("fashion_mnist_lt").half
    budget = Budget(half.data, half.trials - missing, half.epochs)
    found = rows(budget, {"study": [1.0], "peer script": [9.0], "plain Optuna": [4.0], "careful Optuna": [3.0]})
    assert [row.ratio.median for row in found] == [9.0, 4.0, 3.0]
    verdicts = ["too short to judge"] * 3 if missing else ["not met", "met", "met"]
    assert [row.verdict for row in found] == verdicts
    assert [row.bound for row in found] == ["at least 10", "at least 1", "at least 3"]


def test_other_rows_have_no_length() -> None:
    assert long_enough("report of 500 trials, seconds")
    assert not long_enough("digits_lt:n_max=90,ir=20: study against peer script, 2 trials of 4 epochs, times faster")
