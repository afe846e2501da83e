"""The gain on each subset of the long tail, and over all subsets."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.page.style import BLACK, BLUE, GREEN, PALE, PURPLE, VERMILION, canvas, place_legend, signed_ticks

_LOOK: dict[str, Any] = {"ls": "", "ms": 6, "elinewidth": 1.5, "capsize": 2.5, "zorder": 3}
#: Colour and marker of each comparison: over two baselines, tuned and at their reference points.
_MARKS = ((VERMILION, "o"), (BLUE, "s"), (GREEN, "^"), (PURPLE, "D"))


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
        axes.yaxis.set_major_formatter(signed_ticks())
        axes.grid(axis="y")
        place_legend(axes, columns=2)
    return figure
