"""One knob at a time: its effect on validation accuracy along its range, with a band that holds where it bends.

The knob's effect is a parabola and a smooth function beside it. Widths of a bend from a twentieth of the range on are
weighed by their restricted likelihood (a Gaussian process on cosines; Rasmussen & Williams 2006). All other knobs are
random effects of the same mixed model (`stats.mixed_model`). The band is that of the prediction's error, so it holds
the chance that the curve bends where no trial shows it. Values far from the others are drawn in to Tukey's fences.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial
from scipy import stats

from analysis.search.columns import columns_of, polynomials, stage_columns
from analysis.search.trial_matrix import Floats, TrialMatrix, drawn_in, stages, trial_matrix, value_of
from analysis.stats.mixed_model import MixedModel
from search_spaces.knob import Knob

_N_GRID = 61
_MIN_TRIALS = 8

#: Trials beyond the number of means that the choices of a knob need.
_LEAST_FREE = 3

#: Widths of a bend that are weighed, in shares of the range, and the cosines that make a smooth function.
_WIDTHS = (0.05, 0.1, 0.2, 0.4)
_N_COSINES = 20

_CURVE = ["value", "mean", "low", "high", "n"]


@dataclass(frozen=True)
class Slice:
    """One knob against the target.

    Attributes:
        points: one row per complete trial that has the knob: trial, value (in the knob's unit), score (fraction).
        curve: value, mean, low, high, n: along the range that holds trials, or one row per choice; the other knobs are
            as in the mean of these trials. Empty where fewer than eight trials have the knob, where nothing
            varies, and where there are hardly more trials than choices.
    """

    knob: Knob
    points: pd.DataFrame
    curve: pd.DataFrame

    def frame(self) -> pd.DataFrame:
        """Return points and curve as one table; `part` is 'trial' or 'effect'."""
        points = self.points.rename(columns={"score": "mean"}).assign(part="trial")
        return pd.concat([points, self.curve.assign(part="effect")], ignore_index=True).assign(knob=self.knob.name)


def slices_of(trials: Sequence[FrozenTrial], knobs: Sequence[Knob]) -> list[Slice]:
    """Return one slice per knob that a trial has; `trials` must be complete ones."""
    matrix, stage = trial_matrix(trials, knobs), stages(trials)
    values = drawn_in(np.array([value_of(trial) for trial in trials]))[0] if trials else np.empty(0)
    found = []
    for knob in knobs:
        rows = [(trial.number, trial.params[knob.name], trial.value) for trial in trials if knob.name in trial.params]
        points, curve = pd.DataFrame(rows, columns=["trial", "value", "score"]), pd.DataFrame(columns=_CURVE)
        if len(rows) >= _MIN_TRIALS and knob.name in matrix.names:
            there = matrix.present[:, matrix.names.index(knob.name)]
            if np.ptp(values[there]):
                curve = _curve(matrix.rows(there), knob, values[there], stage[there])
        if rows:
            found.append(Slice(knob, points, curve))
    return found


def effect(
    x: Floats, y: Floats, grid: Floats, *, beside: Floats | None = None, others: Sequence[Floats] = ()
) -> tuple[Floats, Floats]:
    """Return the mean of `y` at each place of `grid` (G,) and half the width of its pointwise 95 % interval, (G,) each.

    Args:
        x: (N,) places, 0 to 1.
        y: (N,), not constant.
        grid: (G,) places.
        beside: (N, S) columns that are taken out as fixed effects, the first of them ones; ones alone by default.
        others: columns (N, q) of the other knobs, each group with a variance of its own.
    """
    beside = np.ones((len(x), 1)) if beside is None else beside
    degree = min(2, len(np.unique(x)) - 1)
    fixed = np.column_stack([beside, polynomials(x, degree)])
    models = [MixedModel.fit(y, fixed, [_cosines(x, width), *others]) for width in _WIDTHS]
    found = [
        model.predict(_rows(beside, polynomials(grid, degree), [_cosines(grid, width)], others))
        for model, width in zip(models, _WIDTHS, strict=True)
    ]
    means, variances = (np.array(parts) for parts in zip(*found, strict=True))
    logs = np.array([model.log_likelihood for model in models])
    weights = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    mean = weights @ means
    spread = weights @ (variances + means**2) - mean**2
    return mean, _half(spread, float(weights @ [model.free for model in models]))


def _curve(matrix: TrialMatrix, knob: Knob, y: Floats, stage: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Return the curve of a knob that all trials of `matrix` have."""
    k = matrix.names.index(knob.name)
    x, beside = matrix.x[:, k], stage_columns(stage)
    others = [columns for j, columns in enumerate(columns_of(matrix, 2)) if j != k and columns.any()]
    if isinstance(knob.distribution, CategoricalDistribution):
        places = np.unique(x)
        if len(x) < beside.shape[1] + len(places) + _LEAST_FREE:
            return pd.DataFrame(columns=_CURVE)
        model = MixedModel.fit(y, np.column_stack([beside, x[:, None] == places[1:]]), others)
        mean, spread = model.predict(_rows(beside, (places[:, None] == places[1:]).astype(float), [], others))
        half, choices = _half(spread, model.free), knob.distribution.choices
        values: Sequence[object] = [choices[round(place * (len(choices) - 1))] for place in places]
        n = [int((x == place).sum()) for place in places]
    else:
        grid = np.linspace(x.min(), x.max(), _N_GRID)
        mean, half = effect(x, y, grid, beside=beside, others=others)
        values, n = list(_at_position(knob, grid)), [len(x)] * len(grid)
    return pd.DataFrame({"value": values, "mean": mean, "low": mean - half, "high": mean + half, "n": n})[_CURVE]


def _rows(beside: Floats, own: Floats, smooth: Sequence[Floats], others: Sequence[Floats]) -> Floats:
    """Return (G, p + q) columns of the model where the knob's own are given and all else is as in the trials' mean."""
    means = [np.tile(columns.mean(axis=0), (len(own), 1)) for columns in (beside, *others)]
    return np.column_stack([means[0], own, *smooth, *means[1:]])


def _cosines(x: Floats, width: float) -> Floats:
    """Return (N, k) cosines whose random sum bends within about `width` of the range."""
    waves = np.pi * np.arange(1, _N_COSINES + 1)
    return np.asarray(np.cos(np.outer(x, waves)) * np.exp(-((waves * width) ** 2) / 4))


def _half(variances: Floats, free: float) -> Floats:
    return np.asarray(stats.t.ppf(0.975, max(1.0, free)) * np.sqrt(variances.clip(0)))


def _at_position(knob: Knob, grid: Floats) -> Floats:
    """Return the values at positions `grid`: the inverse of trial_matrix.position."""
    spec = knob.distribution
    assert isinstance(spec, FloatDistribution | IntDistribution)
    if spec.log:
        return np.asarray(spec.low * (spec.high / spec.low) ** grid)
    return np.asarray(spec.low + grid * (spec.high - spec.low))
