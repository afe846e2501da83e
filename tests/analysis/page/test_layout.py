"""The panels of a figure are as large as their labels leave room for, and their frames stand below each other."""

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.page.layout import Column
from analysis.page.style import canvas, colour_bar, panels, place_legend


def _laid_out(figure: Figure) -> None:
    figure.canvas.draw()


def test_no_label_is_cut_and_no_room_is_lost() -> None:
    with canvas(5, 4) as (figure, axes):
        axes.barh(["a name of many letters", "b"], [1, 2], label="one")
        axes.set(xlabel="accuracy (%)", ylabel="knob")
        place_legend(axes, columns=1)
    _laid_out(figure)
    held, (width, height) = axes.get_tightbbox(), figure.get_size_inches() * figure.dpi
    pad = figure.dpi * 3 / 72
    assert [held.x0, held.y0] == pytest.approx([pad, pad], abs=2)
    assert [held.x1, axes.get_legend().get_window_extent().y1] == pytest.approx([width - pad, height - pad], abs=2)


def test_panels_have_one_frame_and_heights_as_asked_for() -> None:
    with panels(4, [2.0, 1.0]) as (figure, [upper, lower]):
        upper.plot([0, 1], [0, 100_000])
        lower.set(xlabel="epoch", ylabel="recall\n(%)")
    _laid_out(figure)
    above, below = upper.get_position(), lower.get_position()
    assert (above.x0, above.x1) == (below.x0, below.x1)
    assert above.height == pytest.approx(2 * below.height)
    assert below.y1 < above.y0


def test_equal_scales_and_a_bar_of_colours_stay_in_the_figure() -> None:
    with canvas(4, 4) as (figure, axes):
        shown = axes.imshow(np.eye(3))
        axes.set_yticks(range(3), ["a name of many letters", "b", "c"])
        colour_bar(axes, shown, "share (%)", length=0.8)
    _laid_out(figure)
    held, (width, height) = axes.get_tightbbox(), figure.get_size_inches() * figure.dpi
    assert min(held.x0, held.y0) >= 0
    assert held.x1 <= width
    assert held.y1 <= height


def test_ticks_that_change_with_the_room_are_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    placed: list[Figure] = []
    place = Column._place

    def noted(self: Column, figure: Figure, every: Sequence[Axes], margins: np.ndarray) -> None:
        placed.append(figure)
        place(self, figure, every, margins)

    monkeypatch.setattr(Column, "_place", noted)
    with canvas(2.2, 4) as (narrow, axes):
        axes.set(ylabel="three\nlines\nof text", xlim=(0, 1000), yticks=[0], yticklabels=["a name of many letters"])
    _laid_out(narrow)
    with canvas(5, 4) as (wide, axes):
        axes.plot([0, 1], [0, 1])
    _laid_out(wide)
    assert (placed.count(narrow), placed.count(wide)) == (2, 1)
