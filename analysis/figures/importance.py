"""Which knobs matter: PED-ANOVA shares with bootstrap intervals, fANOVA beside them."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.style import BLUE, ORANGE, canvas, place_legend


def draw_importance(frame: pd.DataFrame) -> Figure:
    """Draw `importance.Importances.frame`, the most important knob on top."""
    n_knobs = len(frame)
    with canvas(5.2, 1.5 + 0.42 * n_knobs) as (figure, axes):
        rows = np.arange(n_knobs)[::-1]
        low, high = 100 * frame["ped_anova_low"], 100 * frame["ped_anova_high"]
        axes.hlines(rows + 0.12, low, high, color=BLUE, lw=2, alpha=0.55)
        axes.plot(100 * frame["ped_anova"], rows + 0.12, "o", color=BLUE, ms=7, label="PED-ANOVA (95 % interval)")
        axes.plot(100 * frame["fanova"], rows - 0.12, "D", color=ORANGE, ms=6, label="fANOVA")
        axes.set_yticks(rows, list(frame["knob"]))
        axes.set_ylim(-0.6, n_knobs - 0.4)
        axes.set_xlim(left=0)
        axes.set_xlabel("share of importance (%, adding up to 100)")
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        place_legend(axes, columns=2)
    return figure
