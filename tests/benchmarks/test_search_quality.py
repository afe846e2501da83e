"""A design is played to the end of its epochs, and judged by the truth of the emulator."""

import pytest

from benchmarks.search_quality import DESIGNS, N_EPOCHS, Played, difference_of, main, play, row_of


def test_a_search_uses_its_epochs_and_its_regret_is_that_of_best1() -> None:
    played = play("fashion_mnist_lt", "acckd_full", DESIGNS["default"], 0)
    assert played.n == played.n_complete == N_EPOCHS / 60
    assert 0 <= played.regret < 0.1
    assert set(played.costs) >= {"tau", "use_kd", "cckd_weight"}
    assert all(-1e-9 < cost < 0.05 for cost in played.costs.values())


def test_a_pruner_leaves_room_for_more_trials() -> None:
    played = play("fashion_mnist_lt", "acckd_full", DESIGNS["half spread"], 0)
    assert played.n > N_EPOCHS / 60 > played.n_complete


def test_arow_of_counts_names_and_adds_up_costs() -> None:
    found = [
        Played(60, 40, 3000, ("tau",), {"tau": 0.0, "lr": 0.01}, 0.02),
        Played(64, 50, 3100, ("x",), {"tau": 0.02, "lr": 0.01}, 0.04),
    ]
    assert row_of("d", ("tau", "lr"), found) == "| d | 62 (45), 3,050 | 50 % | 0 % | 50 % | 2.00 | 3.00 ± 0.71 |"


def test_the_difference_of_two_designs_is_paired_by_study() -> None:
    ours = [Played(1, 1, 60, ("tau",), {}, 0.01 * k) for k in range(4)]
    others = [Played(1, 1, 60, (), {}, 0.01 * k - 0.005) for k in range(4)]
    row = difference_of("a minus b", ("tau",), ours, others)
    same = "+0.00 (+0.00 to +0.00)"
    assert row == f"| a minus b | | +100.00 (+100.00 to +100.00) | {same} | {same} | +0.50 (+0.50 to +0.50) |"


def test_a_design_may_end_by_its_trials() -> None:
    former = play("fashion_mnist_lt", "acckd_full", DESIGNS["0.1.0"], 0)
    assert former.n == 64 > former.n_complete
    half = play("fashion_mnist_lt", "acckd_full", DESIGNS["half the epochs of 0.1.0"], 0)
    assert half.epochs == 60 * half.n == 60 * half.n_complete


def test_a_design_that_is_not_played_cannot_be_the_one_against(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--designs", "default", "--against", "random"])
    assert "--against must be one of --designs (default); got random" in capsys.readouterr().err


@pytest.mark.parametrize("asked", ["no such design", "default,half spread,"])
def test_an_unknown_design_is_refused_with_the_choices(asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--designs", asked])
    assert "--designs must be of default, three quarters spread," in capsys.readouterr().err


def test_the_names_of_designs_can_be_listed_with_commas() -> None:
    assert not [name for name in DESIGNS if "," in name]
