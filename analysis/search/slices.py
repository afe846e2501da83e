"""One knob at a time: its effect on validation accuracy along its range, with a band that holds where it bends.

The effect is `stats.effect_curve`, in which all other knobs are random effects and the stages of the search fixed ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial

from analysis.reading.wording import EXACT, value_text
from analysis.search.columns import columns_of, is_choice, stage_columns
from analysis.search.trial_matrix import (
    Floats,
    TrialMatrix,
    position,
    stages,
    told_value,
    trial_matrix,
    value_of,
    values_between,
)
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

    A trial can have every one of the values: a whole number, or one with a step, has a place per value it can have.

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
        """Return the best value, as `told_value` gives it."""
        return told_value(knob, self.values, self.curve.best)

    def told(self, knob: Knob, places: npt.NDArray[np.int64]) -> str:
        """Return some of the values in words: '0.2 to 0.41' or '0.2' for neighbours, 'mixup or cutmix' for choices."""
        if not is_choice(knob):
            ends = (told_value(knob, self.values, place) for place in (places[0], places[-1]))
            return " to ".join(dict.fromkeys(value_text(end, digits=EXACT) for end in ends))
        *some, last = (str(self.values[place]) for place in places)
        return f"{', '.join(some)} or {last}" if some else last


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
    values = values_between(knob, x.min(), x.max(), _N_GRID)
    grid = np.array([position(knob, value) for value in values])
    curve = effect_curve(x, y, grid, beside=beside, others=others)
    return Effect(values, curve, (len(x),) * len(grid))
