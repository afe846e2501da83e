"""Early epochs are judged by curves alone: those that predict gain, those that do not lose."""

import numpy as np
import pytest

from benchmarks.early_epochs import N_TRIALS, budget, gains_of_stopping, main, rank_correlations

EPOCHS = (3, 15, 60)


def test_a_search_that_stops_early_has_the_epochs_of_one_that_does_not() -> None:
    for place, early in enumerate(EPOCHS):
        begun, kept = budget(EPOCHS, place)
        spent = begun * early + kept * (EPOCHS[-1] - early)
        assert N_TRIALS * EPOCHS[-1] - 3 * EPOCHS[-1] < spent <= N_TRIALS * EPOCHS[-1]
    assert budget(EPOCHS, 2) == (N_TRIALS, N_TRIALS)


def test_stopping_gains_by_what_an_early_epoch_predicts() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(size=200)
    noise = rng.normal(size=(10, 200))
    curves = [np.column_stack([early, early, truth]) for early in (truth, *noise)]
    ranks = [rank_correlations(curve)[0] for curve in curves]
    assert ranks[0] == pytest.approx(1)
    assert abs(np.mean(ranks[1:])) < 0.1
    told, *blind = (gains_of_stopping(curve, truth, EPOCHS, 0).mean() for curve in curves)
    assert told > 0.1
    assert np.mean(blind) < 0.05  # the best of 27 drawn blindly, against the best of 30


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="needs as many recorded points; got 20"):
        gains_of_stopping(np.ones((20, 3)), np.ones(20), EPOCHS, 0)


def test_the_committed_curves_are_judged_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    _, _, _, *rows = capsys.readouterr().out.splitlines()
    assert rows[-1].startswith("| 60 | 1.00 | 30 | ")
    assert float(rows[0].split("|")[2]) < 0.6


@pytest.mark.parametrize("data", ["digits_lt", "fashion_mnist_lt:n_max=90", "nothing"])
def test_a_set_without_recorded_trainings_is_refused(data: str) -> None:
    with pytest.raises(SystemExit, match=r"recorded \(cifar10_lt, fashion_mnist_lt\); got '" + data):
        main(["--data", data])
