"""One knob at a time: its effect on validation accuracy along its range, with a band that holds where it bends.

The effect is `stats.effect_curve`, in which all other knobs are random effects and the stages of the search fixed ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from analysis.search.columns import columns_of, is_choice, stage_columns
from analysis.search.trial_matrix import Floats, TrialMatrix, at_position, stages, trial_matrix, value_of
from analysis.stats.effect_curve import EffectCurve, effect_curve, effect_of_choices
from search_spaces.knob import Knob

_N_GRID = 61
_MIN_TRIALS = 8

#: Trials beyond the number of means that the choices of a knob need.
_LEAST_FREE = 3

#: The values of a curve come back from their positions with a relative error of at most this.
_ROUNDING = 1e-9

_CURVE = ["value", "mean", "low", "high", "n"]


@dataclass(frozen=True)
class Effect:
    """What the trials say of one knob: at G values along the range that holds trials, or at each choice that was tried.

    Attributes:
        values: (G,) in the knob's unit, or the choices.
        curve: validation balanced accuracy (fraction) at the values; the other knobs are as in the trials' mean.
        n: (G,) trials behind a choice; behind a curve all trials that have the knob.
    """

    values: tuple[Any, ...]
    curve: EffectCurve
    n: tuple[int, ...]

    def nearest(self, knob: Knob, value: Any) -> int | None:
        """Return the index of the value nearest to `value`; None where that was not searched."""
        if is_choice(knob):
            return self.values.index(value) if value in self.values else None
        first, last = self.values[0], self.values[-1]
        slack = _ROUNDING * max(abs(first), abs(last))
        if not first - slack <= value <= last + slack:
            return None
        return int(np.abs(np.array(self.values) - value).argmin())

    def best_value(self, knob: Knob) -> Any:
        """Return the best value, as `value_at` gives it."""
        return self.value_at(knob, self.curve.best)

    def value_at(self, knob: Knob, place: int) -> Any:
        """Return the value at a place of the curve: a number with two significant digits, within the searched range."""
        value, spec = self.values[place], knob.distribution
        if not isinstance(spec, FloatDistribution | IntDistribution):
            return value
        rounded = round(value) if isinstance(spec, IntDistribution) else float(f"{value:.2g}")
        return min(max(rounded, spec.low), spec.high)


@dataclass(frozen=True)
class Slice:
    """One knob against the target.

    Attributes:
        points: one row per complete trial that has the knob: trial, value (in the knob's unit), score (fraction).
        effect: None where fewer than eight trials have the knob, where nothing varies, and where there are hardly more
            trials than choices.
    """

    knob: Knob
    points: pd.DataFrame
    effect: Effect | None

    @property
    def curve(self) -> pd.DataFrame:
        """The effect as a table: value, mean, low, high (95 %, pointwise), n; empty where there is none."""
        if self.effect is None:
            return pd.DataFrame(columns=_CURVE)
        mean, half = self.effect.curve.mean, self.effect.curve.half
        columns = (list(self.effect.values), mean, mean - half, mean + half, list(self.effect.n))
        return pd.DataFrame(dict(zip(_CURVE, columns, strict=True)))

    def frame(self) -> pd.DataFrame:
        """Return points and curve as one table; `part` is 'trial' or 'effect'."""
        points = self.points.rename(columns={"score": "mean"}).assign(part="trial")
        return pd.concat([points, self.curve.assign(part="effect")], ignore_index=True).assign(knob=self.knob.name)


def slices_of(trials: Sequence[FrozenTrial], knobs: Sequence[Knob]) -> list[Slice]:
    """Return one slice per knob that a trial has; `trials` must be complete ones."""
    matrix, stage = trial_matrix(trials, knobs), stages(trials)
    values = np.array([value_of(trial) for trial in trials])
    found = []
    for knob in knobs:
        rows = [(trial.number, trial.params[knob.name], trial.value) for trial in trials if knob.name in trial.params]
        if rows:
            effect = effect_of(matrix, knob, values, stage)
            found.append(Slice(knob, pd.DataFrame(rows, columns=["trial", "value", "score"]), effect))
    return found


def effect_of(matrix: TrialMatrix, knob: Knob, values: Floats, stage: npt.NDArray[np.int64]) -> Effect | None:
    """Return the effect of a knob on the values of the trials (N,); None where `Slice.effect` is.

    Args:
        matrix: N complete trials.
        knob: one of the search.
        values: any accuracy of the trials, fractions.
        stage: `stages` of the trials, (N,).
    """
    if knob.name not in matrix.names:
        return None
    there = matrix.present[:, matrix.names.index(knob.name)]
    if there.sum() < _MIN_TRIALS or not np.ptp(values[there]):
        return None
    return _effect(matrix.rows(there), knob, values[there], stage[there])


def _effect(matrix: TrialMatrix, knob: Knob, y: Floats, stage: npt.NDArray[np.int64]) -> Effect | None:
    """Return the effect of a knob that all trials of `matrix` have."""
    k = matrix.names.index(knob.name)
    x, beside = matrix.x[:, k], stage_columns(stage)
    others = [columns for j, columns in enumerate(columns_of(matrix, 2)) if j != k and columns.any()]
    if isinstance(knob.distribution, CategoricalDistribution):
        places, choices = np.unique(x), knob.distribution.choices
        if len(x) < beside.shape[1] + len(places) + _LEAST_FREE:
            return None
        member = (x[:, None] == places).astype(float)
        tried = tuple(choices[round(place * (len(choices) - 1))] for place in places)
        return Effect(
            tried,
            effect_of_choices(member, y, beside=beside, others=others),
            tuple(int(n) for n in member.sum(axis=0)),
        )
    grid = np.linspace(x.min(), x.max(), _N_GRID)
    curve = effect_curve(x, y, grid, beside=beside, others=others)
    return Effect(tuple(map(float, at_position(knob, grid))), curve, (len(x),) * len(grid))
