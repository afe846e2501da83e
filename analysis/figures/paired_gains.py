"""The gains of best1: one dot per pair of runs over each baseline, and the gain on each subset of the long tail."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.page.style import (
    BLACK,
    BLUE,
    GREEN,
    PALE,
    PURPLE,
    VERMILION,
    SignedTicks,
    canvas,
    mark_beyond_across,
    place_legend,
    robust_limits,
)
from analysis.reading.wording import gain_text

_LOOK: dict[str, Any] = {"ls": "", "ms": 6, "elinewidth": 1.5, "capsize": 2.5, "zorder": 3}
#: Colour and marker of each comparison: over two baselines, tuned and at their reference points.
_MARKS = ((VERMILION, "o"), (BLUE, "s"), (GREEN, "^"), (PURPLE, "D"))
_PAPER: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}

#: Heights within a row of one comparison: of its name, its dots, and its mean.
_NAME_AT, _DOTS_AT, _MEAN_AT = 0.34, 0.04, -0.2


def draw_pair_gains(gains: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Draw `comparisons.pair_gains`: one row per baseline with a dot per pair, the mean and its 95 % interval.

    A dot beyond the axis stands as an arrow at its end, with its number.

    Args:
        gains: of at least one baseline.
        names: baseline -> the name of its row.
    """
    lower, upper = _limits(gains)
    rows = list(gains.groupby("baseline", sort=False))
    with canvas(5.6, 1.0 + 0.62 * len(rows)) as (figure, axes):
        axes.axvline(0, color=BLACK, lw=1)
        for height, (baseline, pairs) in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
            mean, low, high = (float(pairs[column].iloc[0]) for column in ("mean", "low", "high"))
            said = gain_text(mean, low, high) if mean == mean else "no pair of runs"
            axes.text(0.01, height + _NAME_AT, f"{names[str(baseline)]}: {said}", fontsize=9, va="center",
                      bbox=_PAPER, transform=axes.get_yaxis_transform())  # fmt: skip
            values = 100 * pairs["gain"].dropna().to_numpy(dtype=float)
            inside = (values >= lower) & (values <= upper)
            axes.plot(values[inside], np.full(inside.sum(), height + _DOTS_AT), "o", color=BLUE, ms=6, alpha=0.6, mew=0)
            for value in values[~inside]:
                at = height + _DOTS_AT
                mark_beyond_across(axes, value / 100, at, (lower, upper), colour=BLUE, text_at=at - 0.12)
            if mean == mean:
                bars = np.nan_to_num([[100 * (mean - low)], [100 * (high - mean)]])
                axes.errorbar([100 * mean], [height + _MEAN_AT], xerr=bars, fmt="D", color=VERMILION, ms=5, lw=1.8,
                              capsize=3, zorder=3)  # fmt: skip
        axes.set(xlim=(lower, upper), ylim=(-0.45, len(rows) - 0.45), yticks=[])
        axes.set_xlabel("difference in test balanced accuracy (points)")
        axes.xaxis.set_major_formatter(SignedTicks())
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
    return figure


def _limits(gains: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of the axis in points: it holds 0, the means, all dots but far ones, most of each interval."""
    known = gains.fillna({"mean": 0.0, "low": 0.0, "high": 0.0})
    low, high = robust_limits([0.0, *gains["gain"]])
    wide = high - low
    low = min(low, max(known["low"].min(), low - wide), known["mean"].min())
    high = max(high, min(known["high"].max(), high + wide), known["mean"].max())
    return 100 * low - 0.1, 100 * high + 0.1


def draw_subset_gains(means: pd.DataFrame) -> Figure:
    """Draw `subset_gains.subset_means`: one point per subset with its interval over seeds, at the right the mean."""
    subsets = sorted(means["data_seed"].dropna().unique())
    last = len(subsets)
    with canvas(5.2, 3.9) as (figure, axes):
        axes.axhline(0, color=BLACK, lw=1)
        axes.axvspan(last - 0.5, last + 0.5, color=PALE, zorder=0)
        groups = list(means.groupby(["entry", "baseline"], sort=False))
        marks = _MARKS[: len(groups)]
        for index, (((entry, baseline), rows), (colour, marker)) in enumerate(zip(groups, marks, strict=True)):
            shift = (index - (len(groups) - 1) / 2) * min(0.24, 0.6 / len(groups))
            places = [shift + (last if subset is pd.NA else subsets.index(subset)) for subset in rows["data_seed"]]
            bars = 100 * (rows["high"] - rows["gain"])  # a t interval is as wide to either side
            look = _LOOK | {"color": colour, "marker": marker}
            axes.errorbar(places, 100 * rows["gain"], yerr=bars, label=f"{entry} − {baseline}", **look)
        names = ["own" if subset == 0 else str(subset) for subset in subsets]
        axes.set_xticks(range(last + 1), [*names, "over subsets"])
        axes.set_xlabel("subset of the long tail")
        axes.set_xlim(-0.6, last + 0.6)
        axes.set_ylabel("difference in test balanced accuracy (points)")
        axes.yaxis.set_major_formatter(SignedTicks())
        axes.grid(axis="y")
        place_legend(axes, columns=2)
    return figure
