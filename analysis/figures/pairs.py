"""Heatmaps of a pair of knobs, with blank cells where no trial is, and the strengths of all pairs as one matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from analysis.page.style import BLACK, COLOUR_MAP, VERMILION, canvas
from analysis.reading.knob_text import axis_label, is_log
from analysis.search.pair_grids import Axis, PairGrid, PairSurrogate

_MARKS = {"reference": ("v", BLACK, 8), "best": ("*", VERMILION, 13)}


@dataclass(frozen=True)
class PairScale:
    """The scale and the marks that all pairs of a report share.

    Attributes:
        limits: bounds of the colours (fractions).
        n_below: cells that lie below the lower bound and share its colour.
        noise: sd of one trial over training seeds (fraction), drawn on the colour bar; NaN where it is not known.
        reference, best: the points marked on the edges.
    """

    limits: tuple[float, float]
    noise: float
    reference: Mapping[str, Any]
    best: Mapping[str, Any]
    n_below: int = 0


def colour_limits(values: NDArray[np.float64]) -> tuple[float, float, int]:
    """Return the bounds of the colours for cells of these values (n,), and how many cells lie below the lower bound.

    Tukey's fence: a cell of a trial that diverged to chance would leave one colour for all the others. So a cell more
    than 1.5 interquartile ranges below the lower quartile does not count.
    """
    lower, upper = np.quantile(values, [0.25, 0.75])
    inside = values[values >= lower - 1.5 * (upper - lower)]
    return float(inside.min()), float(values.max()) + 1e-4, len(values) - len(inside)


def draw_pair(grid: PairGrid, shared: PairScale) -> Figure:
    """Draw what the trials gave: each cell says its mean and its n."""
    with canvas(5.0, 4.4) as (figure, axes):
        _heatmap(figure, axes, grid, shared, "mean validation balanced accuracy (%)")
        _write_cells(axes, grid, *(100 * limit for limit in shared.limits))
    return figure


def draw_surrogate(layer: PairSurrogate, shared: PairScale) -> Figure:
    """Draw the surrogate's partial dependence, masked where no trial supports it."""
    with canvas(5.0, 4.4) as (figure, axes):
        _heatmap(figure, axes, layer, shared, "surrogate's partial dependence (%)")
    return figure


def draw_interactions(strengths: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Draw `interactions.Interactions.frame` as a triangle over `names`; a star says p below 0.05."""
    n = len(names)
    share, clear = np.full((n, n), np.nan), np.zeros((n, n), dtype=bool)
    for row in strengths.itertuples():
        i, j = sorted((names.index(str(row.x_knob)), names.index(str(row.y_knob))))
        share[j, i], clear[j, i] = 100 * max(0.0, float(str(row.strength))), float(str(row.p)) < 0.05
    with canvas(1.8 + 0.42 * n, 1.4 + 0.42 * n) as (figure, axes):
        top = max(1.0, float(np.nanmax(share)))
        mesh = axes.imshow(np.ma.masked_invalid(share), cmap=COLOUR_MAP, vmin=0, vmax=top)
        for j, i in zip(*np.nonzero(np.isfinite(share)), strict=True):
            colour = BLACK if share[j, i] > 0.55 * top else "white"
            text = f"{share[j, i]:.0f}{'*' * bool(clear[j, i])}"
            axes.text(i, j, text, ha="center", va="center", color=colour, fontsize=8)
        axes.set_xticks(range(n - 1), names[:-1], rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(1, n), names[1:])
        axes.set(xlim=(-0.5, n - 1.5), ylim=(n - 0.5, 0.5))
        figure.colorbar(mesh, ax=axes, label="interaction (% of the variance)", shrink=0.8)
    return figure


def _heatmap(figure: Figure, axes: Axes, layer: PairGrid | PairSurrogate, shared: PairScale, label: str) -> None:
    low, high = (100 * limit for limit in shared.limits)
    mesh = axes.pcolormesh(
        _edges(layer.x), _edges(layer.y), np.ma.masked_invalid(100 * layer.mean), cmap=COLOUR_MAP, vmin=low, vmax=high,
        edgecolors="white" if isinstance(layer, PairGrid) else "none", linewidth=1,
    )  # fmt: skip
    _scale(axes, "x", layer.x)
    _scale(axes, "y", layer.y)
    for point, look in zip((shared.reference, shared.best), _MARKS.values(), strict=True):
        _mark(axes, layer, point, *look)
    bar = figure.colorbar(mesh, ax=axes, label=label, pad=0.06, extend="min" if shared.n_below else "neither")
    handles = [
        Line2D([], [], ls="", marker=marker, color=colour, ms=size, label=f"{name} point, on the edges")
        for name, (marker, colour, size) in _MARKS.items()
    ]
    if np.isfinite(shared.noise):
        # From minus to plus one sd about the middle: colours that lie within the bar are one colour.
        ends = (low + high) / 2 + 100 * shared.noise * np.array([-1, 1])
        bar.ax.plot([0.5, 0.5], np.clip(ends, low, high), color="white", lw=5, solid_capstyle="butt")
        bar.ax.plot([0.5, 0.5], np.clip(ends, low, high), color=VERMILION, lw=2.5, solid_capstyle="butt")
        handles.append(Line2D([], [], color=VERMILION, lw=2.5, label="± 1 sd over training seeds"))
    figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False, fontsize="small")


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
        # Ticks stand on the cells' bounds, so that a cell can be named; on fine cells on some of them, and on fewer
        # where their numbers stand side by side.
        shown = edges[:: max(1, (len(edges) - 1) // (4 if which == "x" else 6))]
        side.set_ticks(shown, [f"{edge:.2g}" for edge in shown])
    side.set_minor_locator(NullLocator())
    axes.set(**{f"{which}lim": (edges[0], edges[-1]), f"{which}label": axis_label(axis.knob)})


def _write_cells(axes: Axes, grid: PairGrid, low: float, high: float) -> None:
    x_middle, y_middle = ([*range(axis.size)] if axis.choices else axis.middles() for axis in (grid.x, grid.y))
    for row, column in zip(*np.nonzero(grid.n), strict=True):
        value = 100 * grid.mean[row, column]
        # viridis turns light above its middle; black text there, white text below.
        colour = BLACK if value > low + 0.55 * (high - low) else "white"
        text = f"{value:.1f}\nn={grid.n[row, column]}"
        axes.text(x_middle[column], y_middle[row], text, ha="center", va="center", color=colour, fontsize=8)


def _mark(
    axes: Axes, grid: PairGrid | PairSurrogate, point: Mapping[str, Any], marker: str, colour: str, size: int
) -> None:
    """Mark where `point` stands on the upper and the right edge, outside, so that no number is covered."""
    look: dict[str, Any] = {"marker": marker, "color": colour, "ms": size, "mec": "white", "mew": 0.5}
    for axis, across in ((grid.x, True), (grid.y, False)):
        if axis.knob.name not in point:
            continue
        value = point[axis.knob.name]
        place = axis.choices.index(value) if axis.choices else value
        spot = ([place], [1.025]) if across else ([1.025], [place])
        transform = axes.get_xaxis_transform() if across else axes.get_yaxis_transform()
        axes.plot(*spot, transform=transform, clip_on=False, zorder=5, **look)
