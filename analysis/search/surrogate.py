"""A surrogate of training: validation balanced accuracy as a function of all knobs, judged on trials it has not seen.

A mixed linear model (`stats.mixed_model`) of additive effects. A knob that the screen names has a parabola and smooth
bends with a variance of its own. The parabolas of all other knobs share one variance, so that chance among many knobs
is not taken for shape. A pair that interacts adds its products; the stage of the search has an effect too. A value that
all others contradict is drawn in first.

A pruned trial enters with the final value that its last rung leads to expect, and with the error of that expectation.
Fresh runs of a trial enter as values of their own. `benchmarks.surfaces` compares this model with extremely randomised
trees and with a Gaussian process that has a length scale per knob.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from analysis.search.columns import products
from analysis.search.interactions import interactions
from analysis.search.screen import screen
from analysis.search.trial_matrix import (
    N_STAGES,
    Bools,
    Floats,
    TrialMatrix,
    drawn_in,
    matrix_like,
    stages,
    trial_matrix,
    value_of,
)
from analysis.stats.effect_curve import EffectCurve, cosines, polynomials
from analysis.stats.mixed_model import MixedModel, drawn_to_model
from search_spaces.knob import Knob

#: Complete trials below which no surrogate is fitted.
MIN_TRIALS = 16

#: Width of the bends of a named knob, in shares of its range.
_BEND = 0.12

#: Folds of the cross-validation, and permutations and draws of noise when a fold chooses its shape.
_N_FOLDS, _N_CHANCE = 5, 99

#: Complete trials with a value at a rung, below which nothing is expected from it.
_FEWEST_AT_RUNG = 8

#: Trials over which the other knobs of a pair are averaged.
_N_BACKGROUND = 64


@dataclass(frozen=True)
class Shape:
    """What has an effect of its own: knobs that are named, and pairs that interact."""

    named: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Surrogate:
    """A fitted surrogate.

    Attributes:
        matrix: the N complete trials.
        values: (N,) their accuracies (fractions), drawn in.
        r2: share of the variance of complete trials that it explains where it has not seen them (five-fold
            cross-validation, the shape chosen anew in each fold). At 0 or less the mean does as well.
        n_pruned: pruned trials that entered too.
        n_fresh: fresh runs that entered too.
    """

    matrix: TrialMatrix
    values: Floats
    r2: float
    n_pruned: int
    n_fresh: int
    _shape: Shape
    _model: MixedModel
    _stage: Floats

    @property
    def residuals(self) -> Floats:
        """The trials' values less the surrogate's, (N,)."""
        return self.values - _rows(self.matrix, self._stage, self._shape) @ self._model.effects

    def predict(self, matrix: TrialMatrix) -> Floats:
        """Return the accuracy (fraction) at M places, with the same knobs and a stage as in the trials' mean, (M,)."""
        stage = np.tile(self._stage.mean(axis=0), (len(matrix.x), 1))
        return np.asarray(_rows(matrix, stage, self._shape) @ self._model.effects)

    def pair(self, x_knob: str, y_knob: str, at: tuple[Floats, Floats]) -> EffectCurve:
        """Return the accuracy with two knobs set and the others as in the trials that have both.

        Args:
            x_knob, y_knob: names in `matrix`; at least one trial has both.
            at: their positions, (Kx,) and (Ky,), 0 to 1.

        Returns:
            The means at Ky * Kx places, x fastest.
        """
        columns = [self.matrix.names.index(name) for name in (x_knob, y_knob)]
        there = np.flatnonzero(self.matrix.present[:, columns].all(axis=1))
        there = there[np.linspace(0, len(there) - 1, min(len(there), _N_BACKGROUND)).astype(int)]
        places = np.column_stack([grid.ravel() for grid in np.meshgrid(*at)])
        x = np.repeat(self.matrix.x[there][None], len(places), axis=0)
        x[:, :, columns] = places[:, None, :]
        spots = replace(
            self.matrix,
            x=x.reshape(-1, x.shape[2]),
            present=np.tile(self.matrix.present[there], (len(places), 1)),
        )
        stage = np.tile(self._stage.mean(axis=0), (len(spots.x), 1))
        rows = _rows(spots, stage, self._shape).reshape(len(places), len(there), -1).mean(axis=1)
        return EffectCurve(*self._model.predict(rows), self._model.free)


@dataclass(frozen=True)
class _Values:
    """N values: where they were trained, at which stage (N, S) of the search, and the variance beside the noise."""

    matrix: TrialMatrix
    stage: Floats
    y: Floats
    variance: Floats

    def rows(self, kept: Bools) -> "_Values":
        return _Values(self.matrix.rows(kept), self.stage[kept], self.y[kept], self.variance[kept])


def fit_surrogate(
    trials: Sequence[FrozenTrial], knobs: Sequence[Knob], shape: Shape, fresh: Mapping[int, Sequence[float]]
) -> Surrogate | None:
    """Fit the surrogate; None where there are too few complete trials, or nothing varies in the trials of some folds.

    Args:
        trials: of a search, in any state.
        knobs: of its space.
        shape: what the screen and the interactions show in the complete trials.
        fresh: number of a complete trial -> accuracies (fractions) of runs with fresh seeds.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and np.isfinite(value_of(trial))]
    matrix = trial_matrix(complete, knobs)
    known = _values([(trial, value_of(trial), 0.0) for trial in complete], matrix)
    if len(complete) < MIN_TRIALS or not matrix.knobs:
        return None
    folds = np.array_split(np.random.default_rng(0).permutation(len(complete)), _N_FOLDS)
    if not all(np.ptp(np.delete(known.y, fold)) for fold in folds):
        return None
    pruned = _expected(trials, complete)
    runs = [(k, trial, value) for k, trial in enumerate(complete) for value in fresh.get(trial.number, ())]
    more = _values([*pruned, *((trial, value, 0.0) for _, trial, value in runs)], matrix)
    of_trial = np.array([*(-1 for _ in pruned), *(k for k, *_ in runs)], dtype=np.int64)
    predicted = np.empty(len(complete))
    for fold in folds:
        unseen = np.isin(np.arange(len(complete)), fold)
        chosen = _chosen(known.rows(~unseen))
        model = _fitted(known.rows(~unseen), more.rows(~np.isin(of_trial, fold)), chosen)
        predicted[unseen] = _rows(matrix.rows(unseen), known.stage[unseen], chosen) @ model.effects
    values = drawn_in(known.y)[0]
    r2 = 1 - float(np.square(values - predicted).sum() / np.square(values - values.mean()).sum())
    return Surrogate(matrix, values, r2, len(pruned), len(runs), shape, _fitted(known, more, shape), known.stage)


def _values(found: Sequence[tuple[FrozenTrial, float, float]], like: TrialMatrix) -> _Values:
    trials = [trial for trial, *_ in found]
    y, variance = (np.array([entry[k] for entry in found], dtype=float) for k in (1, 2))
    return _Values(matrix_like(like, [trial.params for trial in trials]), np.eye(N_STAGES)[stages(trials)], y, variance)


def _chosen(seen: _Values) -> Shape:
    """Return what the screen and the interactions show in some of the trials."""
    columns = zip(seen.matrix.x.T, seen.matrix.present.T, strict=True)
    varies = [k for k, (x, there) in enumerate(columns) if len(np.unique(x[there])) > 1]
    matrix = replace(
        seen.matrix,
        knobs=tuple(seen.matrix.knobs[k] for k in varies),
        x=seen.matrix.x[:, varies],
        present=seen.matrix.present[:, varies],
    )
    named = screen(matrix, seen.y, seen.stage.argmax(axis=1), n_permutations=_N_CHANCE).named
    return Shape(tuple(named), interactions(matrix, seen.y, n_draws=_N_CHANCE).clear)


def _fitted(known: _Values, more: _Values, shape: Shape) -> MixedModel:
    """Fit complete trials, then these and `more`, whose rows count by their noise."""
    groups = _groups(known.matrix, known.stage, shape)
    ones = np.ones((len(known.y), 1))
    y = drawn_to_model(known.y, ones, groups)
    if not len(more.y):
        return MixedModel.fit(y, ones, groups)
    noise = MixedModel.fit(y, ones, groups).noise
    weights = np.sqrt(noise / (noise + np.concatenate([known.variance, more.variance])))[:, None]
    both = [np.vstack(pair) for pair in zip(groups, _groups(more.matrix, more.stage, shape), strict=True)]
    return MixedModel.fit(np.concatenate([y, more.y]) * weights[:, 0], weights, [group * weights for group in both])


def _rows(matrix: TrialMatrix, stage: Floats, shape: Shape) -> Floats:
    return np.column_stack([np.ones(len(stage)), *_groups(matrix, stage, shape)])


def _groups(matrix: TrialMatrix, stage: Floats, shape: Shape) -> list[Floats]:
    """Return the random effects: the stage, each named knob, all other knobs together, each pair's products."""
    own = {name: _columns(matrix, name, bends=False) for name in matrix.names}
    others = [columns for name, columns in own.items() if name not in shape.named]
    joint = [products(own[x], own[y]) for x, y in shape.pairs]
    named = [_columns(matrix, name, bends=True) for name in shape.named]
    return [stage, *named, *([np.column_stack(others)] if others else []), *joint]


def _columns(matrix: TrialMatrix, name: str, *, bends: bool) -> Floats:
    """Return (N, k) functions of one knob: a column per choice, or a parabola and bends; 0 where it is absent."""
    k = matrix.names.index(name)
    knob, x = matrix.knobs[k], matrix.x[:, k]
    if isinstance(knob.distribution, CategoricalDistribution):
        n_choices = len(knob.distribution.choices)
        functions = np.eye(n_choices)[np.rint(x * (n_choices - 1)).astype(int)]
    else:
        places, at = np.unique(x, return_inverse=True)  # a grid has thousands of rows, and few places
        functions = np.column_stack([polynomials(places, 2), *([cosines(places, _BEND)] if bends else [])])[at]
    return np.asarray(functions * matrix.present[:, [k]])


def _expected(trials: Sequence[FrozenTrial], complete: Sequence[FrozenTrial]) -> list[tuple[FrozenTrial, float, float]]:
    """Return (pruned trial, expected final value, variance of its error), by regression on the trial's last rung."""
    found = []
    for trial in trials:
        if trial.state != TrialState.PRUNED or not trial.intermediate_values:
            continue
        rung = max(trial.intermediate_values)
        past = [
            (other.intermediate_values[rung], value_of(other))
            for other in complete
            if rung in other.intermediate_values
        ]
        if len(past) < _FEWEST_AT_RUNG:
            continue
        early, late = (drawn_in(column)[0] for column in np.array(past).T)
        spread = float(early.var())
        if not spread:
            continue
        slope = float(np.mean((early - early.mean()) * (late - late.mean()))) / spread
        rest = late - late.mean() - slope * (early - early.mean())
        value = max(trial.intermediate_values[rung], float(early.min()) - 2 * float(early.std()))
        expected = float(late.mean()) + slope * (value - float(early.mean()))
        found.append((trial, expected, float(rest @ rest) / (len(past) - 2)))
    return found
