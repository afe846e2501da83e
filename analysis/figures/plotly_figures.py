"""Interactive figures as plain plotly.js descriptions (data and layout); the library inside the page draws them.

The lines are SVG. Plotly's `parcoords` needs WebGL, which phones and remote desktops lack, and has no hover text.
"""

import html
from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial

from analysis.page.style import BLACK, BLUE, COLOUR_MAP, ORANGE, PURPLE
from analysis.reading.knob_text import is_log
from analysis.reading.wording import percent
from analysis.search.trial_matrix import numeric_position, value_of
from search_spaces.knob import Knob

#: The most trials drawn as lines; of more trials the best are drawn.
MOST_LINES = 300

_MARKS = {"COMPLETE": (BLUE, "circle"), "PRUNED": (ORANGE, "triangle-down"), "RUNNING": (PURPLE, "square")}
_FONT = {"family": "system-ui, sans-serif", "size": 12, "color": "#222"}
_DARKEST, _LIGHTEST = 0.0, 0.88  # viridis' last yellow is too pale for a line on white


def parallel_coordinates(trials: Sequence[FrozenTrial], knobs: Sequence[Knob]) -> dict[str, Any]:
    """Return one line per complete trial over an axis for the value and one per knob; colour follows the value.

    The value comes first, so that it is in view on a narrow screen too. Every other axis runs from 0 to 1 on the knob's
    own scale. A trial without a knob has a gap there.
    """
    ranked = sorted(trials, key=value_of)[-MOST_LINES:]
    values = [value_of(trial) for trial in ranked]
    low, high = min(values), max(values)
    shade = np.linspace(_DARKEST, _LIGHTEST, len(ranked)) if len(ranked) > 1 else np.array([_DARKEST])
    # Colour by rank: a few failures would otherwise leave one colour for all the rest.
    colours = [to_hex(colour) for colour in colormaps[COLOUR_MAP](shade)]
    axes = list(range(len(knobs) + 1))
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": axes,
            "y": [
                _short((value - low) / (high - low)) if high > low else 0.5,
                *(_place(knob, trial) for knob in knobs),
            ],
            "line": {"color": colour, "width": 1.5},
            "marker": {"color": colour, "size": 5},
            "text": _hover_text(trial),
            "hovertemplate": "%{text}<extra></extra>",
            "showlegend": False,
        }
        for trial, value, colour in zip(ranked, values, colours, strict=True)
    ]
    notes = _ends(0, percent(low), percent(high))
    notes += [note for axis, knob in enumerate(knobs, start=1) for note in _ends(axis, *_range(knob))]
    names = ["validation (%)", *(knob.name for knob in knobs)]
    layout = _layout() | {
        "xaxis": {
            "tickvals": axes,
            "ticktext": [_text(name) for name in names],
            "side": "top",
            "tickangle": -25,
            "tickfont": {"size": 10},
            "range": [-0.4, len(knobs) + 0.4],
            "showgrid": True,
            "gridcolor": "#8A8A85",
            "zeroline": False,
            "fixedrange": True,
        },
        "yaxis": {"visible": False, "range": [-0.12, 1.12], "fixedrange": True},
        "annotations": notes,
        "margin": {"l": 10, "r": 30, "t": 80, "b": 10},
        "dragmode": "select",
    }
    return {"data": data, "layout": layout}


def history_lines(trials: Sequence[FrozenTrial]) -> dict[str, Any]:
    """Return every trial's last value by number, with its configuration to hover over, and the best so far."""
    data: list[dict[str, Any]] = []
    for state, (colour, symbol) in _MARKS.items():
        shown = [trial for trial in trials if trial.state.name == state and _last(trial) is not None]
        if shown:
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": state.lower(),
                    "x": [trial.number for trial in shown],
                    "y": [_short(100 * (_last(trial) or 0.0)) for trial in shown],
                    "text": [_hover_text(trial) for trial in shown],
                    "hovertemplate": "%{text}<extra></extra>",
                    "marker": {"color": colour, "symbol": symbol, "size": 8, "line": {"color": "#fff", "width": 0.5}},
                }
            )
    complete = [trial for trial in trials if trial.state.name == "COMPLETE" and _last(trial) is not None]
    if complete:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "best so far",
                "x": [trial.number for trial in complete],
                "y": (100 * np.maximum.accumulate([value_of(trial) for trial in complete])).tolist(),
                "line": {"color": BLACK, "shape": "hv", "width": 1.5},
                "hoverinfo": "skip",
            }
        )
    layout = _layout() | {
        "xaxis": {"title": {"text": "trial number"}, "zeroline": False, "gridcolor": "#E4E4E0"},
        "yaxis": {"title": {"text": "validation balanced accuracy (%)"}, "zeroline": False, "gridcolor": "#E4E4E0"},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "margin": {"l": 60, "r": 10, "t": 30, "b": 50},
    }
    return {"data": data, "layout": layout}


def _short(number: float) -> float:
    """Return a place in a figure to a ten-thousandth: thousands of whole floats are much of a page."""
    return round(number, 4)


def _layout() -> dict[str, Any]:
    return {
        "font": _FONT,
        "paper_bgcolor": "rgba(0,0,0,0)",  # the box behind it is white, and shows where it scrolls
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "bgcolor": "#fff", "font": {"color": "#222"}},
        "autosize": True,
    }


def _hover_text(trial: FrozenTrial) -> str:
    params = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in sorted(trial.params.items())
    ]
    head = f"<b>trial {trial.number}: {percent(_last(trial))} %</b> ({trial.state.name.lower()})"
    return "<br>".join([head, *(_text(line) for line in params)])


def _text(text: str) -> str:
    """Escape a text for plotly, which obeys a few HTML tags in labels. A stranger may have chosen the text."""
    return html.escape(text, quote=False)


def _place(knob: Knob, trial: FrozenTrial) -> float | None:
    if knob.name not in trial.params:
        return None
    spec, value = knob.distribution, trial.params[knob.name]
    if isinstance(spec, CategoricalDistribution):
        return (spec.choices.index(value) + 0.5) / len(spec.choices)
    place = numeric_position(knob, value)
    return _short(place) if place == place else 0.5


def _range(knob: Knob) -> tuple[str, str]:
    """The lower and the upper end of an axis in words; for a choice its first and last value."""
    spec = knob.distribution
    if isinstance(spec, CategoricalDistribution):
        return str(spec.choices[0]), str(spec.choices[-1])
    low, high = (f"{bound:g}" for bound in (spec.low, spec.high))  # type: ignore[attr-defined]
    return low, f"{high} (log)" if is_log(knob) else high


def _ends(axis: int, low: str, high: str) -> list[dict[str, Any]]:
    look: dict[str, Any] = {"x": axis, "showarrow": False, "font": {"size": 11, "color": "#555"}}
    return [
        look | {"y": 0, "yanchor": "top", "yshift": -6, "text": _text(low)},
        look | {"y": 1, "yanchor": "bottom", "yshift": 6, "text": _text(high)},
    ]


def _last(trial: FrozenTrial) -> float | None:
    """The last evaluated value; None where there is no finite one."""
    step = trial.last_step
    value = trial.value if trial.value is not None else None if step is None else trial.intermediate_values[step]
    return None if value is None or not isfinite(value) else float(value)
