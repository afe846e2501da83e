"""What the whole bench is given comes from the product, and the quick one says what it leaves out."""

import pytest

from benchmarks import occupancy, run
from benchmarks.study_wall import PEERS, Budget
from search_spaces.registry import get_space


def test_a_search_has_half_the_trials_of_its_space_and_the_epochs_of_the_recipe() -> None:
    assert get_space("acckd_core").default_trials // 2 == occupancy.TRIALS
    assert occupancy.recipe_epochs("digits_lt") == Budget.of_default_study("digits_lt").epochs


def test_the_peers_with_goals_of_a_study_are_given_enough_to_be_judged() -> None:
    assert set(run.BUDGETS) == set(PEERS)
    half = Budget.of_default_study("fashion_mnist_lt").half
    assert run.BUDGETS["peer script"] == run.BUDGETS["careful Optuna"] == half
    assert run.BUDGETS["plain Optuna"].epochs == half.epochs


def test_the_help_says_what_the_quick_bench_leaves_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "at most 6 minutes on two cores" in told
    assert "leaves out CIFAR's epoch" in told
    assert "the study against the scripts" in told
