"""Learning curves on D_val over seeds; runs at a longer training are dashed."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from analysis.page.style import BLACK, ENTRIES, GREY, canvas, place_legend

#: Least distance of two names at one epoch, as a share of the axis.
_LEAST_GAP = 0.055


def draw_learning_curves(bands: pd.DataFrame, *, group: str, length: int) -> Figure:
    """Draw `training_length.curve_bands`: medians as lines, from the lowest to the highest seed as bands.

    Args:
        bands: of one column.
        group: what the recall is of, for the axis.
        length: epochs of the study's own runs.
    """
    with canvas(5.2, 3.9) as (figure, axes):
        ends: dict[str, tuple[float, float]] = {}
        for (entry, factor), rows in bands.groupby(["entry", "epochs_factor"], sort=False):
            colour, marker = ENTRIES.get(str(entry), (BLACK, "P"))
            is_longer = int(str(factor)) > 1
            epochs, middle = rows["epoch"], 100 * rows["median"]
            axes.plot(epochs, middle, color=colour, ls="--" if is_longer else "-", lw=1.6, zorder=3)
            axes.plot(epochs.iloc[-1:], middle.iloc[-1:], color=colour, marker=marker, ms=6, zorder=4)
            shade = 0.07 if is_longer else 0.16
            axes.fill_between(epochs, 100 * rows["low"], 100 * rows["high"], color=colour, alpha=shade, lw=0)
            ends[str(entry)] = float(epochs.iloc[-1]), float(middle.iloc[-1])  # the longest training comes last
        axes.set(xlabel="epochs completed", ylabel=f"validation, {group} (%)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(0, bands["epoch"].max() * 1.02)
        axes.grid(axis="y")
        _name_lines(axes, ends)
        _explain(axes, bands, length)
    return figure


def _name_lines(axes: Axes, ends: Mapping[str, tuple[float, float]]) -> None:
    """Write each entry's name beside the end of its line, in its colour; names that would touch are moved apart."""
    low, high = axes.get_ylim()
    for epoch in sorted({epoch for epoch, _ in ends.values()}):
        names = sorted((name for name in ends if ends[name][0] == epoch), key=lambda name: ends[name][1])
        places = apart([ends[name][1] for name in names], (high - low) * _LEAST_GAP)
        for name, place in zip(names, places, strict=True):
            axes.annotate(
                name,
                (epoch, place),
                (8, 0),
                textcoords="offset points",
                annotation_clip=False,
                color=ENTRIES.get(name, (BLACK, ""))[0],
                fontsize=9,
                va="center",
                path_effects=[withStroke(linewidth=2.5, foreground="white")],  # it may cross other lines
                zorder=5,
            )


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Move ascending places apart, to at least `gap` between neighbours; a group that touches keeps its middle."""
    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while len(groups) > 1 and _spread(groups[-2], gap)[-1] + gap > _spread(groups[-1], gap)[0]:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [place for group in groups for place in _spread(group, gap)]


def _spread(group: Sequence[float], gap: float) -> list[float]:
    middle = sum(group) / len(group)
    return [middle + gap * (k - (len(group) - 1) / 2) for k in range(len(group))]


def _explain(axes: Axes, bands: pd.DataFrame, length: int) -> None:
    lines = [Line2D([], [], color=GREY, ls="-", label=f"{length} epochs")]
    longer = sorted({int(factor) for factor in bands["epochs_factor"]} - {1})
    if longer:
        label = " and ".join(f"{factor * length}" for factor in longer)
        lines.append(Line2D([], [], color=GREY, ls="--", label=f"{label} epochs"))
    place_legend(axes, columns=2, handles=lines)
