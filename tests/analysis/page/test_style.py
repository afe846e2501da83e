"""Robust axes: no value far from the others stretches them, and each such value has a mark."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analysis.page.style import BLUE, SignedTicks, canvas, mark_beyond, robust_limits

CALM = [0.70, 0.71, 0.72, 0.73, 0.74, 0.75]
VALUES = st.lists(st.floats(-1, 1), min_size=1, max_size=40)


@pytest.mark.parametrize("far", [0.1, -5.0, 3.0])
def test_a_value_far_from_the_others_does_not_stretch_the_axis(far: float) -> None:
    low, high = robust_limits(CALM)
    assert low < min(CALM) < max(CALM) < high
    assert robust_limits([*CALM, far]) == (low, high)
    assert robust_limits([*CALM, 0.76])[1] > high


@given(VALUES)
@example([0.05, -1.0, -1.0, -1.0])
@example([0.5, 0.5, 0.5, 0.05])
def test_an_axis_holds_the_middle_half_and_has_a_length(values: list[float]) -> None:
    low, high = robust_limits([*values, float("nan"), float("inf")])
    assert low < high
    assert low <= np.quantile(values, 0.25)
    assert high >= np.quantile(values, 0.75)


def test_an_axis_without_values_is_an_axis() -> None:
    assert robust_limits([]) == robust_limits([float("nan")]) == (0.0, 1.0)


def test_every_value_beyond_the_axis_has_an_arrow_at_its_place() -> None:
    with canvas(3, 3) as (_, axes):
        mark_beyond(axes, [1, 2, 3, 4], [0.5, -2.0, 9.0, float("nan")], (0.0, 1.0), colour=BLUE)
        marks = {line.get_marker(): line.get_xydata().tolist() for line in axes.lines if len(line.get_xydata())}
    assert marks == {"v": [[2.0, 0.0]], "^": [[3.0, 1.0]]}


@pytest.mark.parametrize(
    ("ticks", "texts"),
    [
        ([-7.5, -5, -2.5, 0, 2.5, 10], ["−7.5", "−5.0", "−2.5", "0.0", "+2.5", "+10.0"]),
        ([-20, 0, 20], ["−20", "0", "+20"]),
        ([-0.25, 1e-17, 0.5], ["−0.25", "0.00", "+0.50"]),
    ],
)
def test_ticks_of_gains_have_their_signs_and_as_many_decimals_each(ticks: list[float], texts: list[str]) -> None:
    with canvas(3, 3) as (_, axes):
        axes.set_ylim(min(ticks), max(ticks))
        axes.yaxis.set_major_formatter(SignedTicks())
        assert axes.yaxis.get_major_formatter().format_ticks(ticks) == texts
