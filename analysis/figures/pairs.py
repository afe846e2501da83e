"""Heatmaps of a pair of knobs with every trial as a dot, and the strengths of all pairs as one matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes as Plot
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from analysis.page.style import BLACK, COLOUR_MAP, VERMILION, canvas, scale_ticks
from analysis.reading.knob_text import axis_label, is_log
from analysis.search.interactions import LEVEL
from analysis.search.pair_surfaces import Axis, PairSurface

_MARKS = {"reference": ("v", BLACK, 8), "best": ("*", VERMILION, 13)}

#: Trials near a cell from which on its colour is full, and the opacity of a cell without any.
_FULL, _FAINTEST = 2.0, 0.35

#: Trials of one choice stand side by side: the share of a cell they spread over, and how many stand in a row.
_ASIDE, _ABREAST = 0.5, 7


@dataclass(frozen=True)
class PairScale:
    """What all pairs of a report share.

    Attributes:
        limits: bounds of the colours (fractions).
        noise: sd of one trial over training seeds (fraction); NaN where it is not known.
        reference, best: the points that are marked.
        with_surface: whether the surrogate is good enough to be drawn beneath the trials.
        what: what the colours are.
    """

    limits: tuple[float, float]
    noise: float
    reference: Mapping[str, Any]
    best: Mapping[str, Any]
    with_surface: bool
    what: str = "validation balanced accuracy (%)"


def colour_limits(surfaces: Sequence[PairSurface], *, with_surface: bool) -> tuple[float, float]:
    """Return the bounds of the colours: they hold every surface and the central 80 % of the trials' values."""
    bounds = [surface.points["score"].quantile([0.1, 0.9]).to_numpy() for surface in surfaces]
    bounds += [surface.mean.ravel() for surface in surfaces if with_surface]
    values = np.concatenate(bounds)
    return float(values.min()), float(values.max()) + 1e-4


def draw_pair(surface: PairSurface, shared: PairScale) -> Figure:
    """Draw the surface, faded where few trials are near, its best region, and every trial in the same colours."""
    with canvas(5.0, 4.5) as (figure, axes):
        low, high = (100 * limit for limit in shared.limits)
        x, y = surface.x, surface.y
        look: dict[str, Any] = {"cmap": COLOUR_MAP, "vmin": low, "vmax": high}
        handles = []
        if shared.with_surface:
            faded = _FAINTEST + (1 - _FAINTEST) * (surface.n / _FULL).clip(0, 1)
            # Rasterised in the SVG: between cells that are paths most programs show seams.
            mesh = axes.pcolormesh(x.edges, y.edges, 100 * surface.mean, rasterized=True, **look)
            mesh.set_alpha(list(faded.ravel()))
            _outline(axes, surface, surface.may_stay, BLACK, "-")
            handles.append(Line2D([], [], color=BLACK, lw=1.5, label="not told from the best (95 %)"))
            if np.isfinite(shared.noise):
                _outline(axes, surface, surface.mean >= surface.mean.max() - shared.noise, VERMILION, ":")
                handles.append(
                    Line2D([], [], color=VERMILION, ls=":", lw=1.5, label="within one seed's sd of the best")
                )
        spots = [_spots(axis, surface.points[name]) for axis, name in ((x, "x"), (y, "y"))]
        dots = axes.scatter(
            spots[0], spots[1], c=100 * surface.points["score"], s=22, edgecolor=BLACK, lw=0.5, zorder=3, **look
        )
        for (name, (marker, colour, size)), point in zip(_MARKS.items(), (shared.reference, shared.best), strict=True):
            if {x.knob.name, y.knob.name} <= set(point):
                at = [[_spot(axis, point[axis.knob.name])] for axis in (x, y)]
                axes.plot(*at, marker, color=colour, ms=size, mec="white", mew=0.8, zorder=4, clip_on=False)
                handles.append(Line2D([], [], ls="", marker=marker, color=colour, ms=size, label=f"{name} point"))
        _scale(axes, "x", x)
        _scale(axes, "y", y)
        scores = 100 * surface.points["score"]
        beyond = (bool((scores < low).any()), bool((scores > high).any()))
        ends = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
        figure.colorbar(dots, ax=axes, label=shared.what, extend=ends[beyond])
        figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False, fontsize="small")
    return figure


def draw_interactions(strengths: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Draw `interactions.Interactions.frame` as a triangle over `names`; a star says p below LEVEL."""
    n = len(names)
    share, clear = np.full((n, n), np.nan), np.zeros((n, n), dtype=bool)
    for row in strengths.itertuples():
        i, j = sorted((names.index(str(row.x_knob)), names.index(str(row.y_knob))))
        share[j, i], clear[j, i] = 100 * max(0.0, float(str(row.strength))), float(str(row.p)) < LEVEL
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


def _outline(axes: Plot, surface: PairSurface, inside: NDArray[np.bool_], colour: str, style: str) -> None:
    """Draw the bounds of some cells, on a halo that shows on every colour."""
    x, y = surface.x.edges, surface.y.edges
    padded = np.pad(inside, 1)
    upright = [((x[i], y[j]), (x[i], y[j + 1])) for j, i in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])]
    level = [((x[i], y[j]), (x[i + 1], y[j])) for j, i in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])]
    for width, shade, line in ((3.0, "white", "-"), (1.5, colour, style)):
        axes.add_collection(
            LineCollection([*upright, *level], colors=shade, linewidths=width, linestyles=line, zorder=2)
        )


def _spot(axis: Axis, value: Any) -> float:
    """Where a value stands on an axis: a choice at its index."""
    return float(axis.values.index(value) if axis.is_choice else value)


def _spots(axis: Axis, values: pd.Series) -> NDArray[np.float64]:
    at = np.array([_spot(axis, value) for value in values])
    aside = _ASIDE * ((np.arange(len(at)) % _ABREAST) / (_ABREAST - 1) - 0.5)
    return at + aside if axis.is_choice else at


def _scale(axes: Plot, which: str, axis: Axis) -> None:
    side = axes.xaxis if which == "x" else axes.yaxis
    if is_log(axis.knob):
        axes.set(**{f"{which}scale": "log"})
    if axis.is_choice:
        side.set_ticks(range(len(axis.values)), [str(choice) for choice in axis.values])
    elif ticks := scale_ticks(axis.edges[0], axis.edges[-1], 4 if which == "x" else 5, log=is_log(axis.knob)):
        side.set_ticks(*ticks)
    side.set_minor_locator(NullLocator())
    axes.set(**{f"{which}lim": (axis.edges[0], axis.edges[-1]), f"{which}label": axis_label(axis.knob)})
