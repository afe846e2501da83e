"""A thousand classes: gains and recalls of classes of similar training counts."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from analysis.figures.classes import sd_bars
from analysis.page.style import BLACK, ENTRIES, GREY, PALE, PURPLE, SignedTicks, panels, place_legend

_LOOK: dict[str, Any] = {"ls": "", "ms": 5, "elinewidth": 1.2, "capsize": 2, "zorder": 3}
_SIZE: tuple[float, list[float]] = (5.2, [3.4, 1.1])


def draw_gains_by_count(gains: pd.DataFrame, *, baseline: str) -> Figure:
    """Draw `class_gains.gains_by_count`: points with 95 % intervals; below, the number of classes of each bin."""
    with panels(*_SIZE) as (figure, [axes, below]):
        axes.axhline(0, color=BLACK, lw=1)
        for rows, places, look in _placed(gains):
            mean = 100 * rows["gain"]
            bars = np.abs(np.vstack([100 * rows["low"] - mean, 100 * rows["high"] - mean]))
            axes.errorbar(places, mean, yerr=bars, label=f"{rows['entry'].iloc[0]} − {baseline}", **look)
        axes.set_ylabel(f"mean test recall\nminus that of {baseline} (points)")
        axes.yaxis.set_major_formatter(SignedTicks())
        _finish(axes, below, gains)
    return figure


def draw_recalls_by_count(recalls: pd.DataFrame) -> Figure:
    """Draw `class_gains.recalls_by_count`: mean recalls with sd; below, the number of classes of each bin."""
    with panels(*_SIZE) as (figure, [axes, below]):
        for rows, places, look in _placed(recalls):
            axes.errorbar(places, 100 * rows["recall"], yerr=sd_bars(rows), label=rows["entry"].iloc[0], **look)
        axes.set_ylabel("mean test recall (%)")
        axes.set_yticks(range(0, 101, 20))
        axes.set_ylim(-3, 103)
        _finish(axes, below, recalls)
    return figure


def _middle(bins: pd.DataFrame) -> np.ndarray:
    low, high = (bins[end].clip(lower=1).to_numpy(dtype=float) for end in ("n_from", "n_to"))
    return np.sqrt(low * high)


def _placed(table: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, np.ndarray, dict[str, Any]]]:
    """Yield each entry's rows, their places side by side, and the look of its marks."""
    entries = list(dict.fromkeys(table["entry"]))
    for index, entry in enumerate(entries):
        rows = table[table["entry"] == entry]
        colour, marker = ENTRIES.get(entry, (PURPLE, "P"))
        yield (
            rows,
            _middle(rows) * 1.05 ** ((len(entries) - 1) / 2 - index),
            _LOOK | {"color": colour, "marker": marker},
        )


def _finish(axes: Axes, below: Axes, table: pd.DataFrame) -> None:
    """Draw the numbers of classes, shade the groups, and lay out the axis of counts, largest first."""
    bins = table[table["entry"] == table["entry"].iloc[0]]
    below.vlines(_middle(bins), 0, bins["n_classes"], color="#8A8A85", lw=5)
    below.set_ylabel("classes")
    below.set_ylim(0, 1.45 * bins["n_classes"].max())  # room for the groups' names
    below.set_xscale("log")
    below.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    below.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    below.xaxis.set_minor_locator(NullLocator())
    below.set_xlabel("training images of a class (log scale), largest first")
    spot: dict[str, Any] = {"transform": below.get_xaxis_transform(), "ha": "center", "va": "top", "color": GREY}
    for number, (group, rows) in enumerate(bins.groupby("group", sort=False)):
        low, high = max(rows["n_from"].min(), 1) - 0.5, rows["n_to"].max() + 0.5
        for one in (axes, below):
            one.axvspan(low, high, color=PALE if number % 2 == 0 else "white", zorder=0)
        below.text((low * high) ** 0.5, 0.985, str(group).capitalize(), fontsize=9, **spot)
    below.set_xlim(bins["n_to"].max() * 1.15, max(bins["n_from"].min(), 1) / 1.15)
    axes.grid(axis="y")
    place_legend(axes, columns=3)
