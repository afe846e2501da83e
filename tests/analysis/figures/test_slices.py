"""Slices of knobs with narrow ranges: every tick can be read."""

import numpy as np
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution

from analysis.figures.slices import draw_slice
from analysis.search.slices import Slice
from search_spaces.knob import Knob


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.2000001), (0.5, 0.50001), (1e-5, 1.0001e-5), (0.1, 10.0)])
@pytest.mark.parametrize("log", [True, False])
def test_no_text_of_a_knobs_axis_lies_over_another(low: float, high: float, log: bool) -> None:
    knob = Knob("lr", FloatDistribution(low, high, log=log), "1", "a reason", low)
    values = np.linspace(low, high, 12)
    points = pd.DataFrame({"trial": range(12), "value": values, "score": np.linspace(0.6, 0.7, 12)})
    figure = draw_slice(Slice(knob, points, None), limits=(0.55, 0.75))
    figure.canvas.draw()
    axis = figure.axes[0].xaxis
    texts = [label for label in axis.get_ticklabels() if label.get_text() and label.get_visible()]
    inside = [label for label in texts if low <= label.get_position()[0] <= high]
    assert len({label.get_text() for label in inside}) == len(inside) >= 2
    boxes = [label.get_window_extent() for label in inside]
    assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[k + 1 :])
    assert axis.get_offset_text().get_text() in ("", "1e−5")
