"""A hundred classes in order of training count: one thin mark per class, and a name where the test tells it apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, StrMethodFormatter

from analysis.figures.classes import sd_bars
from analysis.figures.learning_curves import apart
from analysis.page.style import BLACK, ENTRIES, GREY, PALE, PURPLE, SignedTicks, class_label, panels, place_legend

#: The most classes that are named above the gains of one entry, and the most below.
MOST_LABELS = 20

#: Verdicts of classes that are told apart from their baseline.
APART = ("gain", "loss")

_WIDTH_IN, _AXES_IN = 5.2, 4.3
_DATA_IN, _COUNTS_IN, _RECALLS_IN = 2.0, 1.0, 1.6
_NAME_PT = 7.5
_LETTER_IN, _LEADER_IN = 0.068, 0.32  # of a name of _NAME_PT; of the line that leads to it


def draw_ranked_gains(gains: pd.DataFrame, *, baseline: str) -> Figure:
    """Draw `class_gains.class_gains`: one panel per entry, points with 95 % intervals, the training counts below.

    Hollow points are classes that the verdict does not tell apart. Of the others at most MOST_LABELS gains and as many
    losses are named. With too few pairs for a verdict every point is filled and none is named.
    """
    entries = list(dict.fromkeys(gains["entry"]))
    values = 100 * gains[["gain", "low", "high"]].to_numpy(dtype=float)
    known = [0.0, *values[np.isfinite(values)]]
    low, high = float(min(known)), float(max(known))
    strips = {verdict: _strip(gains, verdict) for verdict in APART}
    per_inch = max(high - low, 1.0) / _DATA_IN
    limits = low - per_inch * (0.1 + strips["loss"]), high + per_inch * (0.1 + strips["gain"])
    heights = [0.25 + _DATA_IN + sum(strips.values())] * len(entries)
    with panels(_WIDTH_IN, [*heights, _COUNTS_IN]) as (figure, [*shown, _]):
        for axes, entry in zip(shown, entries, strict=True):
            rows = _ranked(gains, entry)
            axes.axhline(0, color=BLACK, lw=0.8)
            _draw_points(axes, rows, *ENTRIES.get(entry, (PURPLE, "P")))
            for verdict, level in (("gain", high), ("loss", low)):
                _name(axes, labelled(rows, verdict), level, per_inch, len(rows))
            axes.set_ylim(*limits)
            axes.yaxis.set_major_locator(FixedLocator(_ticks(low, high)))
            axes.yaxis.set_major_formatter(SignedTicks())
            axes.set_ylabel(f"{entry} − {baseline}\n(points of recall)")
        if not (gains["verdict"] == "too few").all():
            place_legend(shown[0], columns=2, fontsize=9)
        _draw_classes(figure.axes, _ranked(gains, entries[0]))
    return figure


def draw_ranked_recalls(recalls: pd.DataFrame) -> Figure:
    """Draw `class_gains.mean_recalls`: one panel per entry, recalls with sd, and the mean of each group as a line."""
    entries = list(dict.fromkeys(recalls["entry"]))
    with panels(_WIDTH_IN, [*[_RECALLS_IN] * len(entries), _COUNTS_IN]) as (figure, [*shown, _]):
        for axes, entry in zip(shown, entries, strict=True):
            rows = _ranked(recalls, entry)
            colour, marker = ENTRIES.get(entry, (PURPLE, "P"))
            axes.errorbar(rows.index, 100 * rows["recall"], yerr=sd_bars(rows), **_look(colour, marker))
            for _, of_group in rows.groupby("group", sort=False):
                middle = 100 * of_group["recall"].mean()
                axes.hlines(middle, of_group.index.min() - 0.5, of_group.index.max() + 0.5, color=BLACK, lw=1, zorder=4)
            axes.set_ylim(-3, 103)
            axes.set_yticks(range(0, 101, 25))
            axes.set_ylabel(f"{entry}\nrecall (%)")
        _draw_classes(figure.axes, _ranked(recalls, entries[0]))
    return figure


def labelled(rows: pd.DataFrame, verdict: str) -> pd.DataFrame:
    """Return the rows of one entry that are named for a verdict: the farthest from 0, at most MOST_LABELS of them."""
    told = rows[rows["verdict"] == verdict]
    return told.loc[told["gain"].abs().sort_values(ascending=False, kind="stable").index[:MOST_LABELS]].sort_index()


def within(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move ascending places apart to at least `gap`, and into `low` to `high` as far as they fit there."""
    moved = apart(places, gap)
    moved = [min(place, high - gap * (len(moved) - 1 - k)) for k, place in enumerate(moved)]
    return [max(place, low + gap * k) for k, place in enumerate(moved)]


def _look(colour: str, marker: str) -> dict[str, Any]:
    return {"ls": "", "marker": marker, "ms": 3.2, "elinewidth": 0.8, "color": colour, "mew": 0.7, "zorder": 3}


def _draw_points(axes: Axes, rows: pd.DataFrame, colour: str, marker: str) -> None:
    unclear = rows["verdict"] == "unclear"
    for chosen, face, label in ((unclear, "white", "not told apart"), (~unclear, colour, "told apart")):
        part = rows[chosen]
        mean = 100 * part["gain"]
        bars = np.abs(np.vstack([100 * part["low"] - mean, 100 * part["high"] - mean]))
        if len(part):
            axes.errorbar(
                part.index, mean, yerr=bars, label=label, mfc=face, ecolor=(colour, 0.55), **_look(colour, marker)
            )


def _strip(gains: pd.DataFrame, verdict: str) -> float:
    """Return the inches that the names of a verdict take; 0 where no class has it."""
    names = [_label(row) for _, rows in gains.groupby("entry") for row in labelled(rows, verdict).to_dict("records")]
    return _LEADER_IN + _LETTER_IN * max(map(len, names)) if names else 0.0


def _label(row: dict[Any, Any]) -> str:
    return class_label(str(row["class_name"]), int(row["class_id"]))


def _name(axes: Axes, rows: pd.DataFrame, level: float, per_inch: float, n_classes: int) -> None:
    """Write names upright beyond all intervals, each at the end of a line from its own interval."""
    up = 1 if level > 0 else -1
    gap = n_classes * (_NAME_PT * 1.12 / 72) / _AXES_IN
    ends = 100 * (rows["high"] if up > 0 else rows["low"])
    places = within([float(rank) for rank in rows.index], gap, 1.0, float(n_classes))
    for row, rank, place, end in zip(rows.to_dict("records"), rows.index, places, ends, strict=True):
        line = [(rank, end), (rank, level + up * 0.03 * per_inch), (place, level + up * (_LEADER_IN - 0.03) * per_inch)]
        axes.plot(*zip(*line, strict=True), color=GREY, lw=0.4, zorder=2)
        axes.text(
            place,
            level + up * _LEADER_IN * per_inch,
            _label(row),
            rotation=90,
            ha="center",
            va="bottom" if up > 0 else "top",
            fontsize=_NAME_PT,
            color="#222222",
        )


def _ticks(low: float, high: float) -> list[float]:
    return [float(tick) for tick in MaxNLocator(6).tick_values(low, high) if low <= tick <= high]


def _draw_classes(every: Sequence[Axes], classes: pd.DataFrame) -> None:
    """Draw the training counts into the lowest panel, and shade every second group in all panels."""
    axes, counts = every[-1], classes["n_train"].clip(lower=1)
    axes.bar(classes.index, counts, width=1.0, lw=0, color="#B9B7B0")
    axes.set_yscale("log")
    axes.set_ylim(0.8 * counts.min(), counts.max() * (counts.max() / counts.min()) ** 0.25)  # room for names of groups
    axes.yaxis.set_major_locator(FixedLocator(_count_ticks(classes.assign(n_train=counts))))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(FixedLocator([]))
    axes.set_ylabel("training\nimages")
    axes.set_xlim(0, len(classes) + 1)
    axes.xaxis.set_major_locator(FixedLocator([1, *(tick for tick in _ticks(2, len(classes)) if tick > 1)]))
    axes.set_xlabel("rank of the class by training images")
    spot: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "top", "color": GREY}
    for number, (group, rows) in enumerate(classes.groupby("group", sort=False)):
        first, last = rows.index.min() - 0.5, rows.index.max() + 0.5
        for panel in every:
            panel.axvspan(first, last, color=PALE if number % 2 == 0 else "white", zorder=0)
        axes.text((first + last) / 2, 0.985, str(group).capitalize(), fontsize=9, **spot)


def _count_ticks(classes: pd.DataFrame) -> list[float]:
    """Return the largest and the smallest count, and the smallest of each group where there is room for it."""
    high, low = float(classes["n_train"].max()), float(classes["n_train"].min())
    shown: list[float] = []
    for tick in (high, low, *classes.groupby("group", sort=False)["n_train"].min().astype(float)):
        if all(max(tick / other, other / tick) > (high / low) ** 0.2 for other in shown):
            shown.append(tick)
    return shown


def _ranked(table: pd.DataFrame, entry: str) -> pd.DataFrame:
    """Return the rows of an entry, indexed by rank from 1."""
    rows = table[table["entry"] == entry]
    return rows.set_axis(pd.RangeIndex(1, len(rows) + 1))
