"""What each setting and each part buys: one point per change with its interval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from analysis.page.style import BLACK, BLUE, VERMILION, SignedTicks, canvas, mark_beyond_across, place_legend

Floats = npt.NDArray[np.float64]

#: Kind of change -> colour, marker and name.
_MARKS = {"knob": (BLUE, "o", "knob put back"), "part": (VERMILION, "s", "part taken out")}
_LOOK: dict[str, Any] = {"ls": "", "ms": 6, "elinewidth": 1.5, "capsize": 2.5, "zorder": 3}

#: An interval so many times as wide as the median one does not stretch the axis: its bar runs out of the figure.
_FAR_WIDER = 3


def draw_bought(table: pd.DataFrame, names: Sequence[str], *, judged_on: str) -> Figure:
    """Draw `ablation.bought_table`, its rows called `names`; a row without an interval is a point alone.

    A point beyond the axis stands as an arrow at its end, with its number.
    """
    places = np.arange(len(table))[::-1]
    gains, bars = 100 * table["gain"].to_numpy(), 100 * (table["high"] - table["gain"]).to_numpy()
    lower, upper = _limits(gains, bars)
    inside = (gains >= lower) & (gains <= upper)
    with canvas(5.2, 1.3 + 0.32 * len(table)) as (figure, axes):
        axes.axvline(0, color=BLACK, lw=1)
        for kind, (colour, marker, label) in _MARKS.items():
            rows = (table["kind"] == kind).to_numpy()
            look = _LOOK | {"color": colour, "marker": marker}
            if rows.any():
                shown = np.where(inside, gains, np.nan)[rows]
                axes.errorbar(shown, places[rows], xerr=np.nan_to_num(bars[rows]), label=label, **look)
            beyond = rows & ~inside & np.isfinite(gains)
            for place, gain in zip(places[beyond], gains[beyond], strict=True):
                mark_beyond_across(axes, gain / 100, place, (lower, upper), colour=colour, text_at=place + 0.18)
        axes.set_yticks(places, names)
        axes.set(xlim=(lower, upper), ylim=(-0.6, len(table) - 0.4), xlabel=f"what it buys on {judged_on} (points)")
        axes.xaxis.set_major_formatter(SignedTicks())
        axes.grid(axis="x")
        place_legend(axes, columns=2)
    return figure


def _limits(gains: Floats, bars: Floats) -> tuple[float, float]:
    """Return the ends of the axis: they hold 0 and every interval that is not far wider than the others."""
    known = bars[np.isfinite(bars)]
    half = np.nan_to_num(bars)
    kept = np.isfinite(gains) & (half <= _FAR_WIDER * (np.median(known) if len(known) else 0))
    lower, upper = np.append((gains - half)[kept], 0.0).min(), np.append((gains + half)[kept], 0.0).max()
    room = 0.08 * (upper - lower) or 1.0
    return float(lower - room), float(upper + room)
