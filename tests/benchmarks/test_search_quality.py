"""A design is played to the end of its epochs, and judged by the truth of the emulator."""

import pytest

from benchmarks.search_quality import DESIGNS, N_EPOCHS, Played, main, play, row_of


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
        Played(60, 40, ("tau",), {"tau": 0.0, "lr": 0.01}, 0.02),
        Played(64, 50, ("x",), {"tau": 0.02, "lr": 0.01}, 0.04),
    ]
    assert row_of("d", ("tau", "lr"), found) == "| d | 62 (45) | 50 % | 0 % | 50 % | 2.00 | 3.00 ± 0.71 |"


@pytest.mark.parametrize("asked", ["no such design", "default,half spread,"])
def test_an_unknown_design_is_refused_with_the_choices(asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--designs", asked])
    assert "--designs must be of default, three quarters spread," in capsys.readouterr().err
