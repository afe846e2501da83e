"""An effect is made as large as it is said to be, and what studies name is counted against what was asked."""

import numpy as np
import pytest

from benchmarks.planted import ASKED, Named, Plant, keeps, main, of_points, of_search, row_of
from benchmarks.response_surface import path_of, read_rows
from benchmarks.search_quality import DESIGNS, N_EPOCHS, emulator
from benchmarks.surface_truth import accuracies, trials_of
from search_spaces.registry import get_space

DATA, SPACE = "fashion_mnist_lt", "acckd_full"


def _plant(share: float) -> Plant:
    return Plant(DATA, SPACE, "tau", share)


@pytest.mark.parametrize("share", ASKED)
def test_the_resized_effect_has_its_share_of_the_variance(share: float) -> None:
    plant, trials = _plant(share), trials_of(accuracies(read_rows(path_of(DATA))), get_space(SPACE))
    values = np.array([trial.value for trial in trials])
    taus = [trial.params["tau"] for trial in trials]
    known = emulator(DATA, SPACE).effects("tau", taus)
    rest = values - known
    resized = known + plant.added(taus)
    assert resized.var() / (resized.var() + rest.var()) == pytest.approx(share)
    assert resized.mean() == pytest.approx(known.mean())


def test_forty_points_and_a_search_are_judged_with_knobs_that_have_no_effect() -> None:
    assert of_points(_plant(0.3), 0).n == 40
    searched = of_search(DESIGNS["default"], _plant(0.3), 0)
    assert searched.n == N_EPOCHS / 60


def _studies(n: int, *, screen: int, told: int, vain: int = 0) -> list[Named]:
    return [Named(k < screen, k < told, False, k < vain, 40) for k in range(n)]


@pytest.mark.parametrize(
    ("found", "asked", "kept"),
    [
        (_studies(200, screen=190, told=200), 0.95, True),
        (_studies(200, screen=150, told=152), 0.95, True),  # an F test that is told the shape can do no more
        (_studies(200, screen=150, told=190), 0.95, False),
        (_studies(200, screen=20, told=60), None, False),
        (_studies(200, screen=190, told=200, vain=8), 0.95, True),
        (_studies(200, screen=190, told=200, vain=30), 0.95, False),
    ],
)
def test_a_promise_is_kept_where_the_share_is_reached_or_the_told_test_does_no_better(
    found: list[Named], asked: float | None, kept: bool
) -> None:
    assert keeps(found, asked) is kept


def test_a_row_has_the_shares_with_their_intervals() -> None:
    row = row_of("default", 0.3, _studies(4, screen=1, told=2))
    assert row.startswith("| default | 40 | 30% | 25.0 % (4.6 to 69.9) | 50.0 % (15.0 to 85.0) | 0.0 % (0.0 to 49.0) |")


@pytest.mark.parametrize(("flag", "wrong"), [("--designs", "default,all"), ("--knob", "no_such_knob"), ("--knob", "")])
def test_an_unknown_design_or_knob_is_refused_with_the_choices(
    flag: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([flag, wrong])
    assert f"{flag} must be" in capsys.readouterr().err
