"""Robust axes: no value far from the others stretches them, and each such value has a mark."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analysis.page.style import BLUE, SignedTicks, canvas, mark_beyond, robust_limits, scale_ticks

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


@pytest.mark.parametrize(
    ("low", "high", "log", "texts"),
    [
        (0.1, 10.0, True, ["0.1", "0.32", "1", "3.2", "10"]),
        (0.2, 0.2000001, True, ["0.2", "0.20000005", "0.2000001"]),
        (2.0, 2.0000001, False, ["2", "2.00000005", "2.0000001"]),
        (100.0, 101.0, True, ["100", "100.2", "100.5", "100.7", "101"]),
        (1e-5, 1e-3, True, ["1e-05", "3.2e-05", "0.0001", "0.00032", "0.001"]),
    ],
)
def test_ticks_of_a_knob_tell_their_places_apart(low: float, high: float, log: bool, texts: list[str]) -> None:
    found = scale_ticks(low, high, 5, log=log)
    assert found is not None
    assert found[1] == texts


def test_a_wide_linear_axis_and_one_without_length_keep_matplotlibs_ticks() -> None:
    assert scale_ticks(0.0, 8.0, 5, log=False) is None
    assert scale_ticks(0.2, 0.2, 5, log=True) is None


@given(st.floats(1e-6, 1e6), st.floats(1e-9, 10.0), st.booleans())
def test_no_two_ticks_say_the_same(low: float, share: float, log: bool) -> None:
    found = scale_ticks(low, low * (1 + share), 5, log=log)
    if found is not None:
        places, texts = found
        assert len(set(texts)) == len(places) >= 3
        assert [float(text) for text in texts] == pytest.approx(places, rel=0.05)
