"""A thousand classes: one point per bin at its training counts, the largest at the left, within its group's shade."""

import numpy as np
import pandas as pd
import pytest

from analysis.figures.class_counts import draw_gains_by_count, draw_recalls_by_count

BINS = pd.DataFrame(
    {
        "group": ["many", "many", "medium", "few"],
        "n_from": [400, 101, 20, 4],
        "n_to": [900, 200, 100, 16],
        "n_classes": [3, 40, 50, 60],
        "gain": [-0.02, 0.0, 0.03, 0.08],
        "low": [-0.03, -0.01, 0.02, 0.06],
        "high": [-0.01, 0.01, 0.04, 0.10],
        "recall": [0.8, 0.7, 0.6, 0.5],
        "sd": [0.01, 0.01, 0.01, np.nan],
    }
)


def test_a_bin_stands_at_the_middle_of_its_counts_on_the_log_scale() -> None:
    figure = draw_gains_by_count(BINS.assign(entry="best1"), baseline="la")
    figure.draw_without_rendering()
    axes, below = figure.axes
    points = next(line for line in axes.lines if line.get_marker() == "o")
    assert np.asarray(points.get_xdata()) == pytest.approx([600, (101 * 200) ** 0.5, 2000**0.5, 8])
    assert np.asarray(points.get_ydata()) == pytest.approx([-2, 0, 3, 8])
    assert axes.get_xlim()[0] > 900
    assert axes.get_xlim()[1] < 4
    assert {text.get_text() for text in below.texts} == {"Many", "Medium", "Few"}


def test_two_entries_stand_side_by_side() -> None:
    both = pd.concat([BINS.assign(entry=name) for name in ("best1", "la")])
    axes, _ = draw_recalls_by_count(both).axes
    lines = [line for line in axes.lines if line.get_marker() in ("o", "D")]
    left, right = (np.asarray(line.get_xdata(), dtype=float) for line in lines)
    assert (left > right).all()


def test_one_bin_of_one_image_can_be_drawn() -> None:
    one = BINS.tail(1).assign(entry="best1", n_from=1, n_to=1, low=np.nan, high=np.nan)
    draw_gains_by_count(one, baseline="la").draw_without_rendering()
