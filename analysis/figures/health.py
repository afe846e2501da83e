"""Convergence: the best so far in the order the search ran, and in random order."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.page.style import BLACK, BLUE, canvas, place_legend


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
