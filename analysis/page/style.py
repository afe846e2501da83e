"""The style that all figures share: white, Okabe-Ito colours with a marker each, viridis, robust axes, plain text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import ScalarFormatter
from PIL import Image

from analysis.reading.wording import points

# Okabe & Ito's palette, distinguishable under every common colour blindness.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
GREY, PALE = "#6B6B6B", "#F1F1EE"

#: An axis is narrow where its length is such a share of its largest value; a tick is long with more letters.
_NARROW, _LONG_TICK = 0.01, 8

#: Sequential colour map of heatmaps, even in lightness.
COLOUR_MAP = "viridis"

#: Entry -> (colour, marker), the same in every figure.
ENTRIES: Mapping[str, tuple[str, str]] = {
    "best1": (VERMILION, "o"),
    "acckd": (BLUE, "s"),
    "la": (GREY, "D"),
    "kd": (PURPLE, "P"),
    "teacher": (GREEN, "^"),
}

#: Look of the points of a scatter plot.
POINTS: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.5, "zorder": 3}

#: Interquartile ranges beyond the quartiles from which on a value does not stretch an axis.
_FAR = 3.0

_DPI = 150
_LONGEST_NAME = 20


@contextmanager
def canvas(width_in: float, height_in: float) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure with one pair of axes; widths near 5 inches keep 10-point text legible on a phone."""
    with panels(width_in, [height_in]) as (figure, [axes]):
        yield figure, axes


@contextmanager
def panels(width_in: float, heights_in: Sequence[float]) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure with pairs of axes below each other, which share the horizontal axis."""
    with mpl.rc_context(_theme()):
        figure = Figure(figsize=(width_in, sum(heights_in)), layout="constrained")
        FigureCanvasAgg(figure)
        column = figure.subplots(len(heights_in), 1, sharex=True, height_ratios=heights_in, squeeze=False)
        yield figure, list(column[:, 0])
        sns.despine(fig=figure)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG or an SVG without a time stamp, so that the same numbers give the same file."""
    # The theme is set again: matplotlib lays text out when it draws it, not when it places it.
    with mpl.rc_context(_theme() | {"svg.hashsalt": path.stem}):
        if path.suffix == ".svg":
            figure.savefig(path, metadata={"Date": None, "Creator": None})
        else:
            # Drawn once; `savefig` would draw twice, and encode what has to be decoded again.
            figure.set_dpi(_DPI)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            # A figure has fewer than 256 colours, and a palette takes a third of the bytes of dozens of figures.
            drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
            drawn.quantize(256, dither=Image.Dither.NONE).save(path)
        figure.set_layout_engine(None)  # the layout is done: the next format need not repeat it


def class_label(name: str, class_id: int) -> str:
    """Return a class name for a figure: one line, shortened; 'class 7' where the font lacks its letters."""
    line = " ".join(name.split())
    if not line or any(ord(letter) not in _letters() for letter in line):
        return f"class {class_id}"
    return line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 1] + "…"


def place_legend(axes: Axes, *, columns: int, **options: Any) -> None:
    """Put the legend above the axes, where it cannot cover a point."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=columns, frameon=False, borderaxespad=0, **options)


def robust_limits(values: Iterable[float]) -> tuple[float, float]:
    """Return the ends of an axis: they hold all finite values but those far from the others, with some room.

    A value is far if it lies more than three interquartile ranges beyond the quartiles (Tukey 1977).
    """
    found = np.array([value for value in values if np.isfinite(value)])
    if not len(found):
        return 0.0, 1.0
    low, high = np.quantile(found, [0.25, 0.75])
    near = found[(found >= low - _FAR * (high - low)) & (found <= high + _FAR * (high - low))] if high > low else found
    # Between few values the quartiles are none of them, and may lie beyond all that are near.
    held = np.array([*near, low, high])
    room = 0.06 * float(np.ptp(held)) or 0.01
    return float(held.min()) - room, float(held.max()) + room


def mark_beyond(
    axes: Axes, places: Sequence[float], values: Sequence[float], limits: tuple[float, float], *, colour: str
) -> None:
    """Draw an arrow at the end of the vertical axis for each of `values` beyond its `limits`."""
    at, found = np.asarray(places, dtype=float), np.asarray(values, dtype=float)
    for end, arrow, outside in ((0.0, "v", found < limits[0]), (1.0, "^", found > limits[1])):
        axes.plot(at[outside], np.full(outside.sum(), end), arrow, color=colour, ms=6, clip_on=False, zorder=5,
                  transform=axes.get_xaxis_transform())  # fmt: skip


def mark_beyond_across(
    axes: Axes, gain: float, height: float, limits: tuple[float, float], *, colour: str, text_at: float
) -> None:
    """Draw an arrow at the end of the horizontal axis for a gain (fraction) beyond its `limits` (points).

    Its number stands at the height `text_at`.
    """
    end, arrow, side = (limits[1], ">", "right") if 100 * gain > limits[1] else (limits[0], "<", "left")
    axes.plot(end, height, arrow, color=colour, ms=7, clip_on=False, zorder=4)
    axes.text(end, text_at, points(gain), color=colour, fontsize=8, ha=side, va="top" if text_at < height else "bottom")


class SignedTicks(ScalarFormatter):
    """Ticks on an axis of gains, all with as many decimals: +2, 0, −2, or +2.5, 0.0, −2.5."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the text of the tick at `x`."""
        text = str(super().__call__(x, pos))
        return text if text.startswith("−") or not text.strip("0.") else f"+{text}"


def scale_ticks(low: float, high: float, n: int, *, log: bool) -> tuple[list[float], list[str]] | None:
    """Return places and texts of the ticks of a knob's axis from `low` to `high`; None where matplotlib's own do.

    Texts have two significant digits, or as many as tell them apart. On a narrow axis they are long, so that there are
    three ticks at most; matplotlib would print what they share beside the axis, over its label.
    """
    if not (low < high and (log or high - low < _NARROW * max(abs(low), abs(high)))):
        return None
    for n_ticks in (n, min(n, 3)):
        places = [float(place) for place in (np.geomspace if log else np.linspace)(low, high, n_ticks)]
        texts = next(
            found
            for digits in range(2, 18)
            if len(set(found := [f"{place:.{digits}g}" for place in places])) == n_ticks or digits == 17
        )
        if max(map(len, texts)) <= _LONG_TICK:
            break
    return places, texts


@cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())


def _theme() -> dict[Any, Any]:
    return {
        **sns.axes_style("ticks"),
        **sns.plotting_context("notebook", font_scale=0.85),
        "font.family": ["DejaVu Sans"],
        # A user's matplotlibrc may ask for a layout of every figure; ours have their own.
        "figure.autolayout": False,
        "figure.constrained_layout.use": False,
        "text.parse_math": False,  # class names are text: '$' is a dollar
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "axes.edgecolor": GREY,
        "axes.labelcolor": "#222222",
        "axes.axisbelow": True,
        "grid.color": "#E4E4E0",
        "grid.linewidth": 0.8,
        "legend.handletextpad": 0.4,
        "legend.columnspacing": 1.2,
        "xtick.color": "#333333",
        "ytick.color": "#333333",
        "axes.unicode_minus": True,
    }
