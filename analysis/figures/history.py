"""The search over trials and over time: every trial by state, the best complete value so far, and convergence."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.page.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PALE,
    POINTS,
    PURPLE,
    VERMILION,
    canvas,
    mark_beyond,
    place_legend,
    robust_limits,
)
from analysis.reading.wording import time_unit

_MARKS = {
    "COMPLETE": ("complete", BLUE, "o"),
    "PRUNED": ("pruned (last value)", ORANGE, "v"),
    "RUNNING": ("running (last value)", PURPLE, "s"),
}

_LOOK = POINTS | {"s": 38}


def draw_history(history: pd.DataFrame, *, spread: tuple[int, int] | None, reference: float | None) -> Figure:
    """Draw `history.history`; trials `spread[0]` to `spread[1]` are shaded, `reference` (fraction) is a dashed line.

    An arrow at the end of the axis stands for a value beyond it.
    """
    with canvas(5.2, 3.9) as (figure, axes):
        if spread:
            axes.axvspan(spread[0] - 0.5, spread[1] + 0.5, color=PALE, zorder=0, label="evenly spread trials")
        for state, (label, colour, marker) in _MARKS.items():
            rows = history[(history["state"] == state) & history["value"].notna()]
            if len(rows):
                axes.scatter(rows["number"], 100 * rows["value"], label=label, color=colour, marker=marker, **_LOOK)
        axes.step(
            history["number"], 100 * history["best_so_far"], where="post", color=BLACK, lw=1.4, label="best so far"
        )
        if reference is not None:
            axes.axhline(100 * reference, color=GREY, ls="--", lw=1.2, label="reference point", zorder=1)
        failed = history.loc[history["state"] == "FAIL", "number"]
        if len(failed):
            # A failed trial has no trustworthy value: its mark is on the axis.
            axes.plot(
                failed,
                [0.015] * len(failed),
                "x",
                color=VERMILION,
                ms=7,
                mew=2,
                label="failed",
                transform=axes.get_xaxis_transform(),
            )
        axes.set(xlabel="trial number", ylabel="validation balanced accuracy (%)")
        axes.set_xlim(-0.5, max(history["number"].max(), 1) + 0.5)
        _limit(axes, history["number"], history)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        place_legend(axes, columns=2)
    return figure


def _limit(axes: Axes, places: pd.Series, history: pd.DataFrame) -> None:
    """Set the ends of the axis of values, and mark the trials beyond them in the colours of their states."""
    low, high = (100 * limit for limit in robust_limits(history["value"]))
    axes.set_ylim(low, high)
    for state, (_, colour, _) in _MARKS.items():
        rows = history[history["state"] == state]
        mark_beyond(axes, places[rows.index].tolist(), (100 * rows["value"]).tolist(), (low, high), colour=colour)


def draw_convergence(table: pd.DataFrame) -> Figure:
    """Draw n_complete, best_so_far and best_in_random_order (fractions), one row per complete trial."""
    with canvas(5.2, 3.4) as (figure, axes):
        n: npt.NDArray[np.int64] = table["n_complete"].to_numpy()
        axes.step(n, 100 * table["best_so_far"], where="post", color=BLACK, lw=1.4, label="in the order they ran")
        axes.plot(n, 100 * table["best_in_random_order"], color=BLUE, ls="--", lw=1.6, label="mean over random orders")
        axes.set(xlabel="complete trials", ylabel="best validation balanced accuracy (%)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        place_legend(axes, columns=2)
    return figure


def draw_spending(history: pd.DataFrame) -> Figure:
    """Draw the best so far of `history.history` against the time that all trials together took."""
    unit_s, unit = time_unit(history["spent_s"].max())
    spent, best = history["spent_s"] / unit_s, 100 * history["best_so_far"]
    with canvas(5.2, 3.4) as (figure, axes):
        axes.step(spent, best, where="post", color=BLACK, lw=1.4, label="best so far", zorder=3)
        for state, (label, colour, marker) in _MARKS.items():
            rows = history["state"] == state
            if state != "RUNNING" and rows.any():
                label = label.removesuffix(" (last value)")
                axes.scatter(
                    spent[rows], 100 * history["value"][rows], label=label, color=colour, marker=marker, **_LOOK
                )
        axes.set(xlabel=f"{unit} of training, all trials together", ylabel="validation balanced accuracy (%)")
        _limit(axes, spent, history[history["state"] != "RUNNING"])
        axes.grid(axis="y")
        place_legend(axes, columns=3)
    return figure
