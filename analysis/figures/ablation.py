"""What each setting and each part buys: one point per change with its interval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.page.style import BLACK, BLUE, VERMILION, canvas, place_legend, signed_ticks

#: Kind of change -> colour, marker and name.
_MARKS = {"knob": (BLUE, "o", "knob put back"), "part": (VERMILION, "s", "part taken out")}
_LOOK: dict[str, Any] = {"ls": "", "ms": 6, "elinewidth": 1.5, "capsize": 2.5, "zorder": 3}


def draw_bought(table: pd.DataFrame, names: Sequence[str], *, judged_on: str) -> Figure:
    """Draw `ablation.bought_table`, its rows called `names`; a row without an interval is a point alone."""
    places = np.arange(len(table))[::-1]
    with canvas(5.2, 1.5 + 0.32 * len(table)) as (figure, axes):
        axes.axvline(0, color=BLACK, lw=1)
        for kind, (colour, marker, label) in _MARKS.items():
            rows = (table["kind"] == kind).to_numpy()
            gains = 100 * table["gain"][rows]
            bars = 100 * (table["high"] - table["gain"])[rows]  # an interval is as wide to either side
            look = _LOOK | {"color": colour, "marker": marker}
            if rows.any():
                axes.errorbar(gains, places[rows], xerr=bars.fillna(0), label=label, **look)
        axes.set_yticks(places, names)
        axes.set_ylim(-0.6, len(table) - 0.4)
        axes.set_xlabel(f"best1 minus best1 with the change, {judged_on} balanced accuracy (points)")
        axes.xaxis.set_major_formatter(signed_ticks())
        axes.grid(axis="x")
        place_legend(axes, columns=2)
    return figure
