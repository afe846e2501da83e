"""The figure of what settings and parts buy: a point per change, and an axis that no single wide interval stretches."""

import numpy as np
import pandas as pd
import pytest

from analysis.figures.ablation import draw_bought


def _table(gains: list[float], halves: list[float]) -> pd.DataFrame:
    kinds = ["knob", "part"] * len(gains)
    return pd.DataFrame(
        {"kind": kinds[: len(gains)], "gain": gains, "high": np.add(gains, halves), "low": np.subtract(gains, halves)}
    )


def test_every_change_has_a_point_and_a_name() -> None:
    (axes,) = draw_bought(_table([0.01, 0.02, -0.01], [0.005] * 3), ["a", "b", "c"], judged_on="validation").axes
    drawn = {(float(x), float(y)) for bar in axes.containers for x, y in bar.lines[0].get_xydata()}
    assert {(round(x, 6), y) for x, y in drawn} == {(1.0, 2.0), (2.0, 1.0), (-1.0, 0.0)}
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b", "c"]
    assert "validation" in axes.get_xlabel()


@pytest.mark.parametrize(("gain", "text"), [(0.29, "+29.0"), (-0.29, "−29.0")])
def test_a_far_wider_interval_stretches_nothing_and_its_point_becomes_an_arrow(gain: float, text: str) -> None:
    calm = _table([0.01, 0.02, 0.0, 0.0], [0.01] * 4)
    wild = _table([0.01, 0.02, 0.0, gain], [0.01, 0.01, 0.01, 0.6])
    (axes,) = draw_bought(wild, list("abcd"), judged_on="test").axes
    assert axes.get_xlim() == draw_bought(calm, list("abcd"), judged_on="test").axes[0].get_xlim()
    assert [shown.get_text() for shown in axes.texts] == [text]
    (arrow,) = [line for line in axes.lines if line.get_marker() in ("<", ">")]
    assert arrow.get_xdata()[0] == axes.get_xlim()[gain > 0]


@pytest.mark.parametrize(
    ("gains", "halves"), [([0.01, np.nan], [np.nan, np.nan]), ([0.0], [0.0]), ([np.nan], [np.nan])]
)
def test_without_intervals_or_points_there_is_still_an_axis(gains: list[float], halves: list[float]) -> None:
    (axes,) = draw_bought(_table(gains, halves), list("ab")[: len(gains)], judged_on="test").axes
    lower, upper = axes.get_xlim()
    assert np.isfinite([lower, upper]).all()
    assert lower < 0 < upper
    assert len(axes.get_yticks()) == len(gains)
