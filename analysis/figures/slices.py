"""One knob against validation accuracy: every complete trial, the knob's effect and its interval."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from optuna.distributions import CategoricalDistribution

from analysis.page.style import BLACK, BLUE, GREY, canvas, mark_beyond, place_legend, scale_ticks
from analysis.reading.knob_text import axis_label, is_log
from analysis.search.slices import Slice


def draw_slice(found: Slice, *, limits: tuple[float, float]) -> Figure:
    """Draw one slice; `limits` (fractions) are the same for all slices, so that heights can be compared.

    An arrow at the end of the axis stands for a trial beyond it.
    """
    with canvas(4.2, 3.2) as (figure, axes):
        choices = (
            found.knob.distribution.choices if isinstance(found.knob.distribution, CategoricalDistribution) else ()
        )
        values = [choices.index(value) for value in found.points["value"]] if choices else found.points["value"]
        # Trials of one choice stand side by side, in order of their numbers.
        aside = 0.25 * (np.arange(len(found.points)) % 5 - 2) / 2 if choices else 0.0
        places, scores = np.asarray(values, dtype=float) + aside, 100 * found.points["score"].to_numpy(dtype=float)
        axes.plot(places, scores, "o", color=GREY, ms=3.5, alpha=0.6, mew=0, label="trials")
        if len(found.curve):
            _curve(axes, found, choices)
        if is_log(found.knob):
            axes.set_xscale("log")
        if not choices:
            ends, told = axes.get_xlim(), found.points["value"].to_numpy(dtype=float)
            if ticks := scale_ticks(told.min(), told.max(), 5, log=is_log(found.knob)):
                axes.set_xticks(*ticks)
                axes.xaxis.set_minor_locator(NullLocator())
                axes.set_xlim(ends)
        if choices:
            axes.set_xticks(range(len(choices)), [str(choice) for choice in choices])
            axes.set_xlim(-0.6, len(choices) - 0.4)
        axes.set(xlabel=axis_label(found.knob), ylabel="val balanced accuracy (%)")
        shown = 100 * limits[0], 100 * limits[1]
        axes.set_ylim(shown)
        mark_beyond(axes, places.tolist(), scores.tolist(), shown, colour=GREY)
        axes.grid(axis="y")
        place_legend(axes, columns=2, fontsize="small")
    return figure


def _curve(axes: Axes, found: Slice, choices: tuple[object, ...]) -> None:
    mean, low, high = (100 * found.curve[name].to_numpy(dtype=float) for name in ("mean", "low", "high"))
    if choices:
        places = [choices.index(value) for value in found.curve["value"]]
        axes.errorbar(places, mean, [mean - low, high - mean], fmt="D", color=BLUE, mec=BLACK, mew=0.5, capsize=4,
                      label="effect (95 % interval)")  # fmt: skip
        return
    at = found.curve["value"].to_numpy(dtype=float)
    axes.fill_between(at, low, high, color=BLUE, alpha=0.2, lw=0)
    axes.plot(at, mean, color=BLUE, lw=2, label="effect (95 % interval)")
