"""Which knobs matter: a test of each knob's main effect that sees slopes, peaks, curves and cliffs, and choices.

Each knob is tested by F for a smooth curve, whose slope and bend count more than its finer turns, and for a cliff near
either end of its range; or for differences between its choices. The others are random effects that share half of the
variance evenly. A value far from the rest is drawn in (Tukey's fence), and where there is one, everything is tested
without such trials too: a cliff shows in the first test, and a trial that diverged by chance hides nothing in the
second.

The clearest knob is compared with the clearest of all knobs after the values were permuted among the trials of the same
stage of the search. The knobs stay where the sampler put them (Freedman & Lane 1983). A knob that stands out is named,
what it explains is taken out, and the rest are judged again (forward selection by the largest values of Westfall &
Young 1993): in about 5 % of studies with evenly spread trials a knob is named in vain. Where a sampler learned it is
more: what looked good by chance is tried near that value alone, and no later trial corrects it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from analysis.search.columns import columns_of, is_choice, knob_columns, stage_columns
from analysis.search.trial_matrix import Bools, Floats, TrialMatrix, drawn_in
from analysis.stats.effect_curve import polynomials
from analysis.stats.mixed_model import MixedModel
from search_spaces.knob import Knob

#: Trials below which nothing is tested.
MIN_TRIALS = 12

#: Chance that any knob without effect is named.
LEVEL = 0.05

#: Weights of a smooth curve's polynomials by degree, from the slope on, and the degree that stands for another knob.
_WEIGHTS = (1.0, 0.7, 0.3, 0.2)
_DEGREE_OF_OTHERS = 2

#: Where in its range a knob may fall off a cliff, the fewest trials beyond it, and how many times less likely by chance
#: than a smooth curve it has to be, because it is rarer.
_CLIFFS = (0.15, 0.85)
_FEWEST_BEYOND = 3
_RARER = 10.0

#: Share of the squares that always counts as noise: a perfect fit has a large F, not an infinite one.
_LEAST_REST = 1e-12

#: A direction of the columns that is so much smaller than the largest one is none.
_LEAST_SIZE = 1e-9

_N_PERMUTATIONS = 499

#: Share of the variance that the knobs not named yet, all but the tested one, are taken to explain.
_SHARE_OF_OTHERS = 0.5


@dataclass(frozen=True)
class Screen:
    """The judgement of D knobs.

    Attributes:
        frame: one row per knob, the clearest first: knob, p (of this knob alone), p_family (judged together with the
            others), matters (p_family at most LEVEL), share (of the variance between trials that its main effect
            explains, 0 to 1), n (trials that have it). Empty below MIN_TRIALS.
        noise: share of that variance which no knob's main effect explains: interactions and chance.
    """

    frame: pd.DataFrame
    noise: float

    @property
    def named(self) -> list[str]:
        """The knobs that are shown to matter, the clearest first."""
        return list(self.frame.loc[self.frame["matters"].astype(bool), "knob"]) if len(self.frame) else []


def screen(
    matrix: TrialMatrix, y: Floats, stage: npt.NDArray[np.int64], *, n_permutations: int = _N_PERMUTATIONS
) -> Screen:
    """Judge the knobs of `matrix` for values `y` (N,) of trials at `stage` (N,)."""
    n, n_knobs = matrix.x.shape
    empty = pd.DataFrame(columns=["knob", "p", "p_family", "matters", "share", "n"])
    if n < MIN_TRIALS or not n_knobs or not np.ptp(y):
        return Screen(empty, np.nan)
    values, near = drawn_in(y)
    trials = _Trials(matrix, values, near, stage, np.random.default_rng(0).random((n, n_permutations)))
    order, alone, family = _judged(trials)
    fixed, columns = stage_columns(stage), columns_of(matrix, _DEGREE_OF_OTHERS)
    whole = MixedModel.fit(values, fixed, columns)
    parts = whole.variances * [each.var(axis=0).sum() for each in columns]
    frame = pd.DataFrame(
        {
            "knob": matrix.names,
            "p": alone,
            "p_family": family,
            "matters": family <= LEVEL,
            "share": parts / (parts.sum() + whole.noise),
            "n": matrix.present.sum(axis=0),
        }
    )
    return Screen(frame.iloc[order].reset_index(drop=True), float(whole.noise / (parts.sum() + whole.noise)))


@dataclass(frozen=True)
class _Shape:
    """What a knob is tested for: columns (N, k), their weights (k,) in turn, and how many times rarer it is."""

    columns: Floats
    weights: Floats
    rarer: float = 1.0


@dataclass(frozen=True)
class _Trials:
    """What is judged.

    Attributes:
        matrix: N trials of D knobs.
        values: (N,) of the trials, drawn in.
        near: (N,) trials whose value is not far from the rest.
        stage: (N,) of the search.
        keys: (N, R) random numbers: their ranks are the R orders of the trials.
    """

    matrix: TrialMatrix
    values: Floats
    near: Bools
    stage: npt.NDArray[np.int64]
    keys: Floats

    def evidence(
        self, there: Bools, shapes: Sequence[_Shape], named: Sequence[Floats], others: Sequence[Floats]
    ) -> list[Floats]:
        """Return the -log p of each shape of a knob, (1 + R,) each: for the values, and for each order of them.

        The knob is `there` (N,) in some trials. `named` are columns (N, ...) of the named knobs, which are taken out,
        and `others` those of the knobs beside.
        """
        found = [np.zeros(1 + self.keys.shape[1]) for _ in shapes]
        for rows in (there, there & self.near):
            values = self.values[rows]
            if len(values) < MIN_TRIALS or not np.ptp(values):
                continue
            fixed = _basis(np.column_stack([stage_columns(self.stage), *named])[rows])
            if fixed.shape[1] >= len(values) - 1:
                continue  # the named knobs explain every value
            left = values - fixed @ (fixed.T @ values)
            drawn = np.column_stack([values, left[_orders(self.stage[rows], self.keys[rows])]])
            beside = [columns[rows] for columns in others if np.ptp(columns[rows], axis=0).any()]
            sizes = np.array([columns.var(axis=0).sum() for columns in beside])
            share = _SHARE_OF_OTHERS / (1 - _SHARE_OF_OTHERS) / max(1, len(beside))
            model = MixedModel.given(values, fixed, beside, share / sizes)
            residuals = model.cleaned(drawn)
            total = np.einsum("nr,nr->r", drawn, residuals)
            if total[0] <= _LEAST_REST * float(np.square(values).sum()) / model.noise:
                continue  # the other knobs explain every value: a few trials with many knobs
            for place, shape in enumerate(shapes):
                found[place] = np.maximum(found[place], _log_p(shape, rows, model, residuals, total))
            if self.near[there].all():
                break
        return found


def _judged(trials: _Trials) -> tuple[list[int], Floats, Floats]:
    """Return the knobs, the clearest first, and the p values of each knob (D,), alone and for all together."""
    n_knobs, n_draws = len(trials.matrix.knobs), 1 + trials.keys.shape[1]
    matrix, columns = trials.matrix, columns_of(trials.matrix, _DEGREE_OF_OTHERS)
    shapes = [_shapes(knob, places) for knob, places in zip(matrix.knobs, matrix.x.T, strict=True)]
    alone, family, running = np.ones(n_knobs), np.ones(n_knobs), 0.0
    order: list[int] = []
    taken: list[Floats] = []
    left = list(range(n_knobs))
    while left:
        evidence = {
            k: trials.evidence(matrix.present[:, k], shapes[k], taken, [columns[j] for j in left if j != k])
            for k in left
        }
        strength = {k: np.max(found, axis=0) for k, found in evidence.items()}
        largest = np.max([found[1:] for found in strength.values()], axis=0)
        ranked = sorted(left, key=lambda k: -strength[k][0])
        for k in ranked:
            running = max(running, (1 + int((largest >= strength[k][0]).sum())) / n_draws)
            family[k] = running
            alone[k] = (1 + int((strength[k][1:] >= strength[k][0]).sum())) / n_draws
            order.append(k)
            left.remove(k)
            if running <= LEVEL:  # the rest is judged again without what this knob explains
                telling = int(np.argmax([found[0] for found in evidence[k]]))
                taken += [columns[k], shapes[k][telling].columns * matrix.present[:, [k]]]
                break
    return order, alone, family


def _basis(columns: Floats) -> Floats:
    """Return orthonormal columns that span `columns` (N, k)."""
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(u[:, s > _LEAST_SIZE * s.max()])


def _shapes(knob: Knob, column: Floats) -> list[_Shape]:
    """Return what a knob with the positions `column` (N,) is tested for."""
    if is_choice(knob):
        choices = knob_columns(knob, column, np.ones(len(column), dtype=bool), 1)
        return [_Shape(choices, np.ones(choices.shape[1]))]
    weights = np.array(_WEIGHTS[: len(np.unique(column)) - 1])
    beyond = [(column > place).astype(float)[:, None] for place in _CLIFFS]
    steps = [step for step in beyond if min(step.sum(), (1 - step).sum()) >= _FEWEST_BEYOND]
    cliffs = [_Shape(step, np.ones(1), _RARER) for step in steps]
    return [_Shape(polynomials(column, len(weights)), weights), *cliffs]


def _orders(stage: npt.NDArray[np.int64], keys: Floats) -> npt.NDArray[np.int64]:
    """Return (n, R) orders of trials by `keys` (n, R), each of which exchanges trials of one stage only."""
    orders = np.empty(keys.shape, dtype=np.int64)
    for one in np.unique(stage):
        members = np.flatnonzero(stage == one)
        orders[members] = members[np.argsort(keys[members], axis=0)]
    return orders


def _log_p(shape: _Shape, rows: Bools, model: MixedModel, residuals: Floats, total: Floats) -> Floats:
    """Return (R,) the -log p of a shape at `rows`, n of them, beside the model.

    `residuals` (n, R) are what the model leaves of R sets of values, and `total` (R,) their sums of squares. The sum of
    squares of the columns in turn, times their weights, is held against F by Satterthwaite's degrees of freedom (1946).
    """
    columns = shape.columns[rows]
    n, width = columns.shape
    free = n - model.n_fixed - width
    if free <= 0:
        return np.zeros(len(total))
    inner = columns.T @ model.cleaned(columns)
    inner += (1e-9 * np.trace(inner) + 1e-12) * np.eye(width)
    squares = np.square(np.linalg.solve(np.linalg.cholesky(inner), columns.T @ residuals))  # (k, R)
    explained, weights = squares.sum(axis=0).clip(0, total), shape.weights
    rest = (total - explained).clip(_LEAST_REST * total) / free
    ratio, turns = weights @ squares / weights.sum() / rest, weights.sum() ** 2 / np.square(weights).sum()
    return np.asarray(-stats.f.logsf(ratio, turns, free) - np.log(shape.rarer))
