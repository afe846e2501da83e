"""An effect is made as large as it is said to be, and what studies name is counted against what was asked."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import planted
from benchmarks.planted import ASKED, Named, Plant, faults, main, of_points, of_search, row_of
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


def _studies(n: int, *, screen: int, told: int, first: int | None = None, vain: int = 0) -> list[Named]:
    first = n if first is None else first
    return [Named(k < screen, k < told, k < first, k < vain, 40) for k in range(n)]


@pytest.mark.parametrize(
    ("share", "found", "broken"),
    [
        (0.3, _studies(200, screen=190, told=200), []),
        (0.3, _studies(200, screen=186, told=200), []),  # 93.0 %, with 95 % inside the interval
        (0.3, _studies(200, screen=168, told=142), ["84.0 % (78.3 to 88.4)"]),  # the told test does no better
        (0.3, _studies(200, screen=150, told=200), ["75.0 %"]),
        (0.2, _studies(200, screen=145, told=200), []),
        (0.2, _studies(200, screen=112, told=94), ["56.0 % (49.1 to 62.7)"]),
        (0.1, _studies(200, screen=2, told=8), []),
        (0.1, _studies(200, screen=20, told=60), ["at most 5 points less"]),
        (0.3, _studies(200, screen=190, told=200, first=174), []),
        (0.3, _studies(200, screen=190, told=200, first=160), ["stands first in 80.0 %"]),
        (0.2, _studies(200, screen=190, told=200, first=20), []),  # the next knob explains more than half of it
        (0.3, _studies(200, screen=190, told=200, vain=8), []),
        (0.1, _studies(200, screen=20, told=20, vain=30), ["a knob without effect is named in 15.0 %"]),
        (0.3, _studies(200, screen=150, told=200, first=20, vain=30), ["75.0 %", "stands first", "without effect"]),
    ],
)
def test_a_bound_is_broken_where_its_whole_interval_lies_beyond_it(
    share: float, found: list[Named], broken: list[str]
) -> None:
    told = faults("default", share, found)
    assert len(told) == len(broken)
    assert all(
        what in one and one.startswith("not met: default, share ") for what, one in zip(broken, told, strict=True)
    )


@pytest.mark.parametrize(
    ("kind", "told", "said"), [("40 recorded points", 142, True), ("40 recorded points", 190, False), ("x", 142, False)]
)
def test_a_bound_out_of_reach_of_the_told_test_is_said_and_counts_as_broken(kind: str, told: int, said: bool) -> None:
    (fault,) = faults(kind, 0.3, _studies(200, screen=168, told=told))
    assert ("the told F test names it in 71.0 % (64.4 to 76.8), so the bound is out of its reach too" in fault) is said


def test_the_command_fails_where_forty_points_break_a_bound(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few, enough = (Named(share, True, True, False, 40) for share in (False, True))
    for of_kind, code in ((few, 1), (enough, 0)):
        monkeypatch.setattr(planted, "ProcessPoolExecutor", lambda workers: nullcontext(SimpleNamespace(map=map)))
        monkeypatch.setattr(planted, "of_points", lambda plant, study, of_kind=of_kind: of_kind)
        monkeypatch.setattr(planted, "of_search", lambda design, plant, study: enough)
        assert main(["--studies", "40"]) == code
        assert ("not met: 40 recorded points, share 30%" in capsys.readouterr().out) is bool(code)


def test_a_row_has_the_shares_with_their_intervals() -> None:
    row = row_of("default", 0.3, _studies(4, screen=1, told=2, first=0))
    assert row.startswith("| default | 40 | 30% | 25.0 % (4.6 to 69.9) | 50.0 % (15.0 to 85.0) | 0.0 % (0.0 to 49.0) |")


@pytest.mark.parametrize(("flag", "wrong"), [("--designs", "default,all"), ("--knob", "no_such_knob"), ("--knob", "")])
def test_an_unknown_design_or_knob_is_refused_with_the_choices(
    flag: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([flag, wrong])
    assert f"{flag} must be" in capsys.readouterr().err
