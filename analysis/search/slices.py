"""One knob at a time: validation accuracy of complete trials along its range, smoothed, with an interval.

A local-linear smoother with a Gaussian kernel (Fan & Gijbels 1996) on the knob's own scale. It is linear in the values,
so its pointwise t interval needs no resampling. The effect of the other knobs is part of the scatter around the curve.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial
from scipy import stats

from analysis.search.trial_matrix import Floats, position
from analysis.stats.paired_tests import paired_interval
from search_spaces.knob import Knob

_N_GRID = 61
_MIN_TRIALS = 8
_MIN_WIDTH = 0.06


@dataclass(frozen=True)
class Slice:
    """One knob against the target.

    Attributes:
        points: one row per complete trial that has the knob: trial, value (in the knob's unit), score (fraction).
        curve: value, mean, low, high, n: along the range that holds trials, or one row per choice. Empty where fewer
            than eight trials have the knob, or its range is a single number.
    """

    knob: Knob
    points: pd.DataFrame
    curve: pd.DataFrame

    def frame(self) -> pd.DataFrame:
        """Return points and curve as one table; `part` is 'trial' or 'smoothed'."""
        points = self.points.rename(columns={"score": "mean"}).assign(part="trial")
        return pd.concat([points, self.curve.assign(part="smoothed")], ignore_index=True).assign(knob=self.knob.name)


def slice_of(trials: Sequence[FrozenTrial], knob: Knob) -> Slice:
    """Return the slice through `trials`, which must be complete ones."""
    rows = [(trial.number, trial.params[knob.name], trial.value) for trial in trials if knob.name in trial.params]
    points = pd.DataFrame(rows, columns=["trial", "value", "score"])
    y = points["score"].to_numpy(dtype=float)
    columns = ["value", "mean", "low", "high", "n"]
    if len(points) < _MIN_TRIALS:
        return Slice(knob, points, pd.DataFrame(columns=columns))
    if isinstance(knob.distribution, CategoricalDistribution):
        cells = [(choice, paired_interval(y[points["value"] == choice])) for choice in knob.distribution.choices]
        found = [(choice, cell.mean, cell.low, cell.high, cell.n) for choice, cell in cells if cell.n]
        return Slice(knob, points, pd.DataFrame(found, columns=columns))
    x = np.array([position(knob, value) for value in points["value"]])
    if np.isnan(x).any():
        return Slice(knob, points, pd.DataFrame(columns=columns))
    grid = np.linspace(x.min(), x.max(), _N_GRID)
    mean, low, high = smoothed(x, y, grid)
    curve = pd.DataFrame({"value": _at_position(knob, grid), "mean": mean, "low": low, "high": high, "n": len(y)})
    return Slice(knob, points, curve[columns])


def smoothed(x: Floats, y: Floats, grid: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the smoothed mean of `y` (N,) over `x` (N,) at `grid` (G,), and its pointwise 95 % interval's ends."""
    width = max(_MIN_WIDTH, 1.06 * float(x.std()) * len(x) ** -0.2)
    at_data, at_grid = _weights(x, x, width), _weights(x, grid, width)
    trace = float(np.trace(at_data))
    # Degrees of freedom of the residuals (Cleveland & Devlin 1988).
    free = max(1.0, len(x) - 2 * trace + float((at_data**2).sum()))
    variance = float(((y - at_data @ y) ** 2).sum()) / free
    half = stats.t.ppf(0.975, free) * np.sqrt(variance * (at_grid**2).sum(axis=1))
    mean = at_grid @ y
    return mean, mean - half, mean + half


def _weights(x: Floats, at: Floats, width: float) -> Floats:
    """(G, N) rows that turn values at `x` into the local line's value at `at`."""
    distance = x[None] - at[:, None]
    kernel = np.exp(-0.5 * (distance / width) ** 2)
    zeroth, first, second = (np.sum(kernel * distance**power, axis=1, keepdims=True) for power in range(3))
    # A small ridge term keeps the line defined where all trials near a point share one value.
    return np.asarray(kernel * (second - first * distance + 1e-9) / (zeroth * second - first**2 + 1e-9 * zeroth))


def _at_position(knob: Knob, grid: Floats) -> Floats:
    """Return the values at positions `grid`: the inverse of trial_matrix.position."""
    spec = knob.distribution
    assert isinstance(spec, FloatDistribution | IntDistribution)
    if spec.log:
        return np.asarray(spec.low * (spec.high / spec.low) ** grid)
    return np.asarray(spec.low + grid * (spec.high - spec.low))
