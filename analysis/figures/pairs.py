"""A pair of knobs as a heatmap: each cell says its mean and its n, a cell without a trial stays blank."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from analysis.figures.style import BLACK, COLOUR_MAP, VERMILION, canvas
from analysis.knobs import axis_label, is_log
from analysis.sensitivity import Axis, PairGrid

_MARKS = {"reference": ("v", BLACK, 8), "best": ("*", VERMILION, 13)}


def draw_pair(
    grid: PairGrid, *, limits: tuple[float, float], reference: Mapping[str, Any], best: Mapping[str, Any]
) -> Figure:
    """Draw one grid; `limits` (fractions) bound the colours of all pairs, the points are marked on the edges."""
    with canvas(5.0, 4.4) as (figure, axes):
        x_edges, y_edges = _edges(grid.x), _edges(grid.y)
        low, high = (100 * limit for limit in limits)
        shown = np.ma.masked_invalid(100 * grid.mean)
        mesh = axes.pcolormesh(
            x_edges, y_edges, shown, cmap=COLOUR_MAP, vmin=low, vmax=high, edgecolors="white", linewidth=1
        )
        _scale(axes, "x", grid.x)
        _scale(axes, "y", grid.y)
        _write_cells(axes, grid, low, high)
        for point, look in zip((reference, best), _MARKS.values(), strict=True):
            _mark(axes, grid, point, *look)
        figure.colorbar(mesh, ax=axes, label="mean validation balanced accuracy (%)", pad=0.06)
        handles = [
            Line2D([], [], ls="", marker=marker, color=colour, ms=size, label=f"{name} point, on the edges")
            for name, (marker, colour, size) in _MARKS.items()
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False, fontsize="small")
    return figure


def _edges(axis: Axis) -> np.ndarray:
    return np.arange(len(axis.choices) + 1) - 0.5 if axis.choices else np.array(axis.edges)


def _scale(axes: Axes, which: str, axis: Axis) -> None:
    edges = _edges(axis)
    side = axes.xaxis if which == "x" else axes.yaxis
    if is_log(axis.knob):
        axes.set(**{f"{which}scale": "log"})
    if axis.choices:
        side.set_ticks(range(len(axis.choices)), [str(choice) for choice in axis.choices])
    else:
        # Ticks stand on the cells' bounds, so that a cell can be named.
        side.set_ticks(edges, [f"{edge:.2g}" for edge in edges])
    side.set_minor_locator(NullLocator())
    axes.set(**{f"{which}lim": (edges[0], edges[-1]), f"{which}label": axis_label(axis.knob)})


def _write_cells(axes: Axes, grid: PairGrid, low: float, high: float) -> None:
    x_middle, y_middle = _middles(grid.x), _middles(grid.y)
    for row, column in zip(*np.nonzero(grid.n), strict=True):
        value = 100 * grid.mean[row, column]
        # viridis turns light above its middle; black text there, white text below.
        colour = BLACK if value > low + 0.55 * (high - low) else "white"
        text = f"{value:.1f}\nn={grid.n[row, column]}"
        axes.text(x_middle[column], y_middle[row], text, ha="center", va="center", color=colour, fontsize=8)


def _middles(axis: Axis) -> np.ndarray:
    edges = _edges(axis)
    return np.sqrt(edges[:-1] * edges[1:]) if is_log(axis.knob) else (edges[:-1] + edges[1:]) / 2


def _mark(axes: Axes, grid: PairGrid, point: Mapping[str, Any], marker: str, colour: str, size: int) -> None:
    """Mark where `point` stands on the upper and the right edge, outside, so that no number is covered."""
    look: dict[str, Any] = {
        "marker": marker,
        "color": colour,
        "ms": size,
        "mec": "white",
        "mew": 0.5,
    }
    for axis, across in ((grid.x, True), (grid.y, False)):
        if axis.knob.name not in point:
            continue
        value = point[axis.knob.name]
        place = axis.choices.index(value) if axis.choices else value
        spot = ([place], [1.025]) if across else ([1.025], [place])
        transform = axes.get_xaxis_transform() if across else axes.get_yaxis_transform()
        axes.plot(*spot, transform=transform, clip_on=False, zorder=5, **look)
