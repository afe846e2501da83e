"""A few classes by name, in order of training count: gains over a baseline, and recalls beside the teacher's."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.page.style import BLACK, ENTRIES, GREY, PALE, PURPLE, SignedTicks, canvas, class_label, place_legend

#: Width and height in inches.
_SIZE = 5.2, 4.7

_LOOK: dict[str, Any] = {"ls": "", "ms": 6, "elinewidth": 1.5, "zorder": 3}


def draw_gains(gains: pd.DataFrame, *, baseline: str) -> Figure:
    """Draw `class_gains.class_gains`: points with 95 % paired t intervals around the line of no gain."""
    with canvas(*_SIZE) as (figure, axes):
        axes.axhline(0, color=BLACK, lw=1)
        for rows, places, look in _placed(axes, gains):
            mean = 100 * rows["gain"]
            bars = np.abs(np.vstack([100 * rows["low"] - mean, 100 * rows["high"] - mean]))
            axes.errorbar(places, mean, yerr=bars, capsize=2.5, label=f"{rows['entry'].iloc[0]} − {baseline}", **look)
        axes.set_ylabel(f"test recall minus that of {baseline} (points)")
        axes.yaxis.set_major_formatter(SignedTicks())
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.08 * (high - low))  # room for the groups' names above all points
        place_legend(axes, columns=3)
    return figure


def draw_recalls(recalls: pd.DataFrame) -> Figure:
    """Draw `class_gains.mean_recalls`: mean test recall of each entry with its sd over seeds."""
    with canvas(*_SIZE) as (figure, axes):
        for rows, places, look in _placed(axes, recalls):
            axes.errorbar(places, 100 * rows["recall"], yerr=sd_bars(rows), label=rows["entry"].iloc[0], **look)
        axes.set_ylabel("test recall (%)")
        axes.set_yticks(range(0, 101, 20))
        axes.set_ylim(-3, 112)  # room for the groups' names above recalls of 100
        place_legend(axes, columns=4)
    return figure


def sd_bars(rows: pd.DataFrame) -> np.ndarray:
    """Return bars of one sd around recalls, below and above (2, n), in points; they end where recalls do."""
    spread = rows["sd"].fillna(0.0)
    return 100 * np.vstack([np.minimum(spread, rows["recall"]), np.minimum(spread, 1 - rows["recall"])]).clip(min=0)


def _placed(axes: Axes, table: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, np.ndarray, dict[str, Any]]]:
    """Lay out the class axis; yield each entry's rows, their places on it side by side, and the look of its marks."""
    classes = table.drop_duplicates("class_id").reset_index(drop=True)
    _name_classes(axes, classes)
    axes.grid(axis="y")
    rank = {class_id: place for place, class_id in enumerate(classes["class_id"])}
    entries = list(dict.fromkeys(table["entry"]))
    for index, entry in enumerate(entries):
        rows = table[table["entry"] == entry]
        shift = (index - (len(entries) - 1) / 2) * (0.44 / max(len(entries) - 1, 1))
        places = rows["class_id"].map(rank) + shift
        colour, marker = ENTRIES.get(entry, (PURPLE, "P"))
        yield rows, places.to_numpy(dtype=float), _LOOK | {"color": colour, "marker": marker}


def _name_classes(axes: Axes, classes: pd.DataFrame) -> None:
    columns = (classes["class_name"], classes["class_id"], classes["n_train"])
    labels = [f"{class_label(name, class_id)} · {n}" for name, class_id, n in zip(*columns, strict=True)]
    axes.set_xticks(range(len(classes)), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(classes) - 0.4)
    axes.set_xlabel("class · training images, largest class first")
    for number, (group, rows) in enumerate(classes.groupby("group", sort=False)):
        first, last = rows.index.min() - 0.5, rows.index.max() + 0.5
        axes.axvspan(first, last, color=PALE if number % 2 == 0 else "white", zorder=0)
        spot: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "top", "color": GREY}
        axes.text((first + last) / 2, 0.985, str(group).capitalize(), fontsize=9, **spot)
