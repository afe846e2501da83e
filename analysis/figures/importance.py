"""Importances of knobs: the screen's shares and p values, shares of two other measures, class groups."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.page.style import BLUE, GREEN, GREY, ORANGE, VERMILION, canvas, place_legend
from analysis.reading.wording import p_value
from analysis.search.trial_matrix import TARGETS

_TARGET_MARKS = {"all": (BLUE, "o"), "many": (GREEN, "^"), "medium": (ORANGE, "s"), "few": (VERMILION, "D")}
#: The least length of an axis of main effects (% of the variance): where nothing is found, all are 0.
_LEAST_SPAN = 10.0
_SHARES = {
    "ped_anova": ("PED-ANOVA", BLUE, "o", 0.15),
    "fanova": ("fANOVA", ORANGE, "D", -0.15),
}


def draw_screen(frame: pd.DataFrame, *, noise: float) -> Figure:
    """Draw each knob's share of the variance and its p value; hollow where the knob is not shown to matter."""
    with canvas(5.2, 1.5 + 0.32 * len(frame)) as (figure, axes):
        rows, shares = _knob_rows(axes, frame), 100 * frame["share"].to_numpy(dtype=float)
        matters = frame["matters"].to_numpy(dtype=bool)
        axes.hlines(rows, 0, shares, color=BLUE, lw=2, alpha=0.5)
        for chosen, face, label in ((matters, BLUE, "shown to matter"), (~matters, "white", "not shown to matter")):
            axes.plot(shares[chosen], rows[chosen], "o", label=label, mfc=face, mec=BLUE)
        axes.set_xlim(0, max(_LEAST_SPAN, 1.25 * float(shares.max())))
        for row, share, p in zip(rows, shares, frame["p_family"], strict=True):
            axes.annotate(f"p {p_value(p)}", (share, row), xytext=(8, 0), textcoords="offset points", va="center",
                          fontsize=8)  # fmt: skip
        axes.set_xlabel(f"main effect (% of the variance; {100 * noise:.0f} % is no main effect)")
        place_legend(axes, columns=2)
    return figure


def draw_shares(frame: pd.DataFrame) -> Figure:
    """Draw PED-ANOVA and fANOVA of one target; each adds up to 100 %, or is left out where it has no share."""
    with canvas(5.2, 1.5 + 0.42 * len(frame)) as (figure, axes):
        rows = _knob_rows(axes, frame)
        for name, (label, colour, marker, shift) in _SHARES.items():
            if not frame[name].gt(0).any():
                continue
            if f"{name}_low" in frame:
                low, high = (100 * frame[f"{name}{end}"] for end in ("_low", "_high"))
                axes.hlines(rows + shift, low, high, color=colour, lw=2, alpha=0.5)
            axes.plot(100 * frame[name], rows + shift, marker, color=colour, ms=6, label=label)
        axes.set_xlim(left=0)
        axes.set_xlabel("share of importance (%, adding up to 100)")
        place_legend(axes, columns=2)
    return figure


def draw_groups(frame: pd.DataFrame) -> Figure:
    """Draw each knob's share of the variance of every target side by side, knobs in the order of the first target."""
    shown = [target for target in TARGETS if target in set(frame["target"])]
    first = frame[frame["target"] == shown[0]].reset_index(drop=True)
    with canvas(5.2, 1.5 + 0.5 * len(first)) as (figure, axes):
        rows = _knob_rows(axes, first)
        for index, target in enumerate(shown):
            colour, marker = _TARGET_MARKS[target]
            part = frame[frame["target"] == target].set_index("knob").loc[first["knob"]]
            height = rows + 0.3 - 0.6 * index / max(1, len(shown) - 1)
            matters, values = part["matters"].to_numpy(dtype=bool), 100 * part["share"].to_numpy(dtype=float)
            axes.hlines(height, 0, values, color=colour, lw=1.5, alpha=0.4)
            names = (TARGETS[target], None) if matters.any() else (None, TARGETS[target])
            axes.plot(values[matters], height[matters], marker, color=colour, ms=6, label=names[0])
            axes.plot(values[~matters], height[~matters], marker, mec=colour, mfc="white", ms=5, label=names[1])
        axes.set_xlim(0, max(_LEAST_SPAN, axes.get_xlim()[1]))
        axes.set_xlabel("main effect (% of the variance)")
        place_legend(axes, columns=4)
    return figure


def _knob_rows(axes: Axes, frame: pd.DataFrame) -> np.ndarray:
    """Lay out one row per knob, the first on top; return their heights."""
    rows = np.arange(len(frame))[::-1].astype(float)
    axes.set_yticks(rows, list(frame["knob"]))
    axes.set_ylim(-0.6, len(frame) - 0.4)
    axes.axvline(0, color=GREY, lw=0.8)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    return rows
