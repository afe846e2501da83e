"""Importances of knobs: permutation importance against chance, shares of three other measures, class groups."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.page.style import BLUE, GREEN, GREY, ORANGE, PALE, VERMILION, canvas, place_legend
from analysis.search.trial_matrix import TARGETS

_TARGET_MARKS = {"all": (BLUE, "o"), "many": (GREEN, "^"), "medium": (ORANGE, "s"), "few": (VERMILION, "D")}
#: The least length of an axis of permutation importances (% of the variance): where a forest finds nothing, all are 0.
_LEAST_SPAN = 10.0
_SHARES = {
    "ped_anova": ("PED-ANOVA", BLUE, "o", 0.2),
    "mdi": ("impurity (MDI)", GREEN, "s", 0.0),
    "fanova": ("fANOVA", ORANGE, "D", -0.2),
}


def draw_importance(frame: pd.DataFrame, *, floor: float) -> Figure:
    """Draw the permutation importance of one target; knobs not above `floor` are hollow, in its grey zone."""
    with canvas(5.2, 1.5 + 0.32 * len(frame)) as (figure, axes):
        rows = _knob_rows(axes, frame)
        axes.axvspan(min(0.0, 100 * float(frame["permutation_low"].min())), 100 * floor, color=PALE, label="chance")
        _intervals(axes, rows, frame, "permutation", color=BLUE, lw=2, alpha=0.5)
        for above, label in ((True, "above chance"), (False, "not above chance")):
            chosen = (frame["above_chance"] == above).to_numpy()
            face = BLUE if above else "white"
            axes.plot(100 * frame["permutation"][chosen], rows[chosen], "o", label=label, mfc=face, mec=BLUE, ms=7)
        _widen(axes)
        axes.set_xlabel("error added by shuffling the knob (% of the variance)")
        place_legend(axes, columns=3)
    return figure


def draw_shares(frame: pd.DataFrame) -> Figure:
    """Draw PED-ANOVA, MDI and fANOVA of one target; each adds up to 100 %, or is left out where it has no share."""
    with canvas(5.2, 1.5 + 0.42 * len(frame)) as (figure, axes):
        rows = _knob_rows(axes, frame)
        for name, (label, colour, marker, shift) in _SHARES.items():
            if not frame[name].gt(0).any():
                continue  # forests that find nothing give no shares
            if f"{name}_low" in frame:
                _intervals(axes, rows + shift, frame, name, color=colour, lw=2, alpha=0.5)
            axes.plot(100 * frame[name], rows + shift, marker, color=colour, ms=6, label=label)
        axes.set_xlim(left=0)
        axes.set_xlabel("share of importance (%, adding up to 100)")
        place_legend(axes, columns=3)
    return figure


def draw_groups(frame: pd.DataFrame, *, floors: Mapping[str, float]) -> Figure:
    """Draw permutation importances of every target beside each other, knobs in the order of the first target."""
    shown = [target for target in TARGETS if target in floors]
    first = frame[frame["target"] == shown[0]].reset_index(drop=True)
    with canvas(5.2, 1.5 + 0.5 * len(first)) as (figure, axes):
        rows = _knob_rows(axes, first)
        for index, target in enumerate(shown):
            colour, marker = _TARGET_MARKS[target]
            part = frame[frame["target"] == target].set_index("knob").loc[first["knob"]]
            height = rows + 0.3 - 0.6 * index / max(1, len(shown) - 1)
            above = part["above_chance"].to_numpy()
            _intervals(axes, height, part, "permutation", color=colour, lw=1.5, alpha=0.4)
            values = 100 * part["permutation"].to_numpy()
            names = (TARGETS[target], None) if above.any() else (None, TARGETS[target])
            axes.plot(values[above], height[above], marker, color=colour, ms=6, label=names[0])
            axes.plot(values[~above], height[~above], marker, mec=colour, mfc="white", ms=5, label=names[1])
        _widen(axes)
        axes.set_xlabel("error added by shuffling the knob (% of the variance)")
        place_legend(axes, columns=4)
    return figure


def _widen(axes: Axes) -> None:
    low, high = axes.get_xlim()
    axes.set_xlim(low, max(high, low + _LEAST_SPAN))


def _intervals(axes: Axes, heights: np.ndarray, frame: pd.DataFrame, name: str, **look: Any) -> None:
    axes.hlines(heights, 100 * frame[f"{name}_low"], 100 * frame[f"{name}_high"], **look)


def _knob_rows(axes: Axes, frame: pd.DataFrame) -> np.ndarray:
    """Lay out one row per knob, the first on top; return their heights."""
    rows = np.arange(len(frame))[::-1].astype(float)
    axes.set_yticks(rows, list(frame["knob"]))
    axes.set_ylim(-0.6, len(frame) - 0.4)
    axes.axvline(0, color=GREY, lw=0.8)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    return rows
