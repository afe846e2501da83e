"""The layout of a figure: a column of panels as large as their labels leave room for, measured once."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import LayoutEngine

Floats = npt.NDArray[np.float64]

#: Room around the labels of a panel, inches.
_PAD_IN = 3 / 72


class Column(LayoutEngine):
    """Places the panels of a figure below each other, their frames aligned, their heights as the ratios say.

    matplotlib's constrained layout finds the same places. It measures every panel twice, since labels may change with
    the room, which takes a third of the time of a figure. This one measures again only where the ticks have changed.

    Args:
        ratios: of the panels' heights.
    """

    _adjust_compatible = False
    _colorbar_gridspec = False

    def __init__(self, ratios: Sequence[float]) -> None:
        super().__init__()
        self._ratios = np.array(ratios, dtype=float)

    def execute(self, fig: Figure) -> None:
        """Place the panels."""
        panels = fig.axes[: len(self._ratios)]
        ticks, margins = list(_ticks(panels)), _margins(fig, panels)
        self._place(fig, panels, margins)
        if ticks != list(_ticks(panels)):
            # Ticks may come and go with the room: none is cut in either case.
            self._place(fig, panels, np.maximum(margins, _margins(fig, panels)))

    def _place(self, figure: Figure, panels: Sequence[Axes], margins: Floats) -> None:
        width, height = figure.get_size_inches()
        left, right = margins[:, 0].max(), margins[:, 1].max()
        below, above = margins[:, 2], margins[:, 3]
        heights = max(0.0, height - float((below + above).sum())) * self._ratios / self._ratios.sum()
        top = height
        for axes, under, over, tall in zip(panels, below, above, heights, strict=True):
            top -= over + tall
            axes.set_position((left / width, top / height, max(0.0, width - left - right) / width, tall / height))
            top -= under


def _margins(figure: Figure, panels: Sequence[Axes]) -> Floats:
    """Return the room that the labels of each panel need beside it, inches (P, 4): left, right, below, above."""
    return np.array([_reach(figure, axes) for axes in panels]) + _PAD_IN


def _reach(figure: Figure, axes: Axes) -> Floats:
    """Return how far the labels of a panel reach beyond it, inches: left, right, below, above.

    A legend stands above its panel. It needs room there, and no narrower panel makes a wide one fit.
    """
    legend = axes.get_legend()
    for artist in (*axes.spines.values(), *([legend] if legend else [])):
        artist.set_in_layout(False)  # spines are the panel's own edges, and take as long as its labels
    held = axes.get_tightbbox(for_layout_only=True)
    own = axes.get_position().transformed(figure.transFigure)  # within its place where its scales are equal
    assert held is not None
    top = max(held.y1, legend.get_window_extent().y1) if legend else held.y1
    found = np.array([own.x0 - held.x0, held.x1 - own.x1, own.y0 - held.y0, top - own.y1])
    return np.asarray(found.clip(0) / figure.dpi)


def _ticks(panels: Sequence[Axes]) -> Iterator[list[float]]:
    for axes in (each for panel in panels for each in (panel, *panel.child_axes)):
        for axis in (axes.xaxis, axes.yaxis):
            yield [float(place) for place in axis.get_majorticklocs()]
