"""The dot plot of the claim: every pair has a dot, every baseline its mean and interval, every far dot an arrow."""

import numpy as np
import pandas as pd
import pytest

from analysis.figures.paired_gains import draw_pair_gains
from analysis.results.comparisons import pair_gains


def _runs(**values: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"entry": entry, "seed": 1000 + seed, "data_seed": 0, "all": value}
            for entry, found in values.items()
            for seed, value in enumerate(found)
        ]
    )


BEST = [0.80, 0.82, 0.81, 0.83]
LA = [0.75, 0.78, 0.78, 0.78]


def _dots(gains: pd.DataFrame) -> list[list[tuple[float, float]]]:
    (axes,) = draw_pair_gains(gains, {"la": "best1 minus la", "kd": "best1 minus kd"}).axes
    shown = [line for line in axes.lines if line.get_marker() == "o"]
    return [[(round(float(x), 6), float(y)) for x, y in line.get_xydata()] for line in shown]


def test_the_numbers_are_the_paired_differences_with_their_t_interval() -> None:
    found = pair_gains(_runs(best1=BEST, la=LA, kd=[0.8, 0.8]), ["la", "kd"])
    la = found[found["baseline"] == "la"]
    gains = np.subtract(BEST, LA)
    assert la["pair"].tolist() == [1000, 1001, 1002, 1003]
    assert la["gain"].to_numpy() == pytest.approx(gains)
    half = 3.182446 * gains.std(ddof=1) / 2  # the 97.5 % quantile of t with three degrees of freedom
    assert la["low"].iloc[0] == pytest.approx(gains.mean() - half, abs=1e-6)
    assert la["high"].iloc[0] == pytest.approx(gains.mean() + half, abs=1e-6)
    assert found.loc[found["baseline"] == "kd", "pair"].tolist() == [1000, 1001]


def test_on_subsets_a_dot_is_the_mean_of_a_subset() -> None:
    runs = pd.concat([_runs(best1=[0.8, 0.9], la=[0.7, 0.7]).assign(data_seed=subset) for subset in (0, 1)])
    found = pair_gains(runs, ["la"])
    assert found["pair"].tolist() == [0, 1]
    assert found["gain"].to_numpy() == pytest.approx([0.15, 0.15])


def test_every_pair_has_a_dot_in_the_row_of_its_baseline() -> None:
    first, second = _dots(pair_gains(_runs(best1=BEST, la=LA, kd=BEST), ["la", "kd"]))
    assert [x for x, _ in first] == pytest.approx([5, 4, 3, 5])
    assert [x for x, _ in second] == [0, 0, 0, 0]
    assert {y for _, y in first}.isdisjoint({y for _, y in second})
    assert min(y for _, y in first) > max(y for _, y in second), "the first baseline stands on top"


def test_the_diamond_is_the_mean_with_its_interval() -> None:
    gains = pair_gains(_runs(best1=BEST, la=LA), ["la"])
    (axes,) = draw_pair_gains(gains, {"la": "best1 minus la"}).axes
    (bar,) = axes.containers
    assert bar.lines[0].get_xdata()[0] == pytest.approx(100 * gains["mean"].iloc[0])
    (segment,) = bar.lines[2][0].get_segments()
    assert segment[:, 0] == pytest.approx(100 * gains[["low", "high"]].iloc[0].to_numpy())
    assert any("best1 minus la: +4.2 (" in text.get_text() for text in axes.texts)
    assert 0 in axes.lines[0].get_xdata(), "the line of no difference"


@pytest.mark.parametrize(("far", "arrow", "text"), [(0.1, ">", "+70.0"), (1.4, "<", "−60.0")])
def test_a_far_dot_is_an_arrow_with_its_number(far: float, arrow: str, text: str) -> None:
    best, la = [*BEST, *BEST, 0.8], [*LA, *LA, far]
    (axes,) = draw_pair_gains(pair_gains(_runs(best1=best, la=la), ["la"]), {"la": "la"}).axes
    lower, upper = axes.get_xlim()
    assert -40 < lower < 3 < 5 < upper < 40
    (mark,) = [line for line in axes.lines if line.get_marker() in ("<", ">")]
    assert mark.get_marker() == arrow
    assert text in [shown.get_text() for shown in axes.texts]


def test_a_baseline_without_runs_keeps_its_row() -> None:
    gains = pair_gains(_runs(best1=BEST, la=LA), ["la", "kd"])
    assert gains.loc[gains["baseline"] == "kd", "n"].tolist() == [0]
    (axes,) = draw_pair_gains(gains, {"la": "over la", "kd": "over kd"}).axes
    assert "over kd: no pair of runs" in [text.get_text() for text in axes.texts]


def test_one_pair_has_a_dot_and_no_interval() -> None:
    (dots,) = _dots(pair_gains(_runs(best1=BEST[:1], la=LA[:1]), ["la"]))
    assert [x for x, _ in dots] == pytest.approx([5])
