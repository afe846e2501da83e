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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.search.columns import columns_of, is_choice, knob_columns, stage_columns
from analysis.search.trial_matrix import Bools, Floats, TrialMatrix, drawn_in
from analysis.stats.effect_curve import polynomials
from analysis.stats.mixed_model import MixedModel
from analysis.stats.permuted_evidence import Contrast, PermutedValues, orthonormal
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

_N_PERMUTATIONS = 499


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
    if n < MIN_TRIALS or not n_knobs:
        return Screen(empty, np.nan)
    values, near = drawn_in(y)
    if not np.ptp(values):
        return Screen(empty, np.nan)
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
    _orders: dict[bytes, npt.NDArray[np.int64]] = field(default_factory=dict, init=False)

    def orders(self, rows: Bools) -> npt.NDArray[np.int64]:
        """Return (n, R) orders of the n trials at `rows`, each of which exchanges trials of one stage only."""
        known = rows.tobytes()
        if known not in self._orders:
            stage, keys = self.stage[rows], self.keys[rows]
            orders = np.empty(keys.shape, dtype=np.int64)
            for one in np.unique(stage):
                members = np.flatnonzero(stage == one)
                orders[members] = members[np.argsort(keys[members], axis=0)]
            self._orders[known] = orders
        return self._orders[known]


class _Round:
    """One round of the selection: evidence for the knobs that are not named yet.

    Args:
        trials: what is judged.
        named: columns (N, ...) of the named knobs, which are taken out.
        left: knob -> columns (N, q), for each of the others.
    """

    def __init__(self, trials: _Trials, named: Sequence[Floats], left: Mapping[int, Floats]) -> None:
        self._trials, self._left = trials, left
        self._fixed = np.column_stack([stage_columns(trials.stage), *named])
        self._known: dict[bytes, PermutedValues | None] = {}

    def evidence(self, knob: int, contrasts: Sequence[Contrast]) -> list[Floats]:
        """Return the -log p of each shape of a knob, (1 + R,) each: for the values, and for each order of them."""
        trials = self._trials
        there = trials.matrix.present[:, knob]
        found = [np.zeros(1 + trials.keys.shape[1]) for _ in contrasts]
        for rows in (there, there & trials.near):
            values = self._values(rows)
            if values is not None:
                here = [replace(one, columns=one.columns[rows]) for one in contrasts]
                found = [np.maximum(*pair) for pair in zip(found, values.evidence(knob, here), strict=True)]
                if trials.near[there].all():
                    break
        return found

    def _values(self, rows: Bools) -> PermutedValues | None:
        """Return the values of the trials at `rows`, which knobs share; None where nothing can be tested."""
        known = rows.tobytes()
        if known not in self._known:
            values = self._trials.values[rows]
            enough = len(values) >= MIN_TRIALS and np.ptp(values) > 0
            fixed = orthonormal(self._fixed[rows]) if enough else np.empty((len(values), len(values)))
            if fixed.shape[1] < len(values) - 1:  # else the named knobs explain every value
                left = {k: columns[rows] for k, columns in self._left.items()}
                self._known[known] = PermutedValues.of(values, fixed, left, self._trials.orders(rows))
            else:
                self._known[known] = None
        return self._known[known]


def _judged(trials: _Trials) -> tuple[list[int], Floats, Floats]:
    """Return the knobs, the clearest first, and the p values of each knob (D,), alone and for all together."""
    n_knobs, n_draws = len(trials.matrix.knobs), 1 + trials.keys.shape[1]
    matrix, columns = trials.matrix, columns_of(trials.matrix, _DEGREE_OF_OTHERS)
    shapes = [_contrasts(knob, places) for knob, places in zip(matrix.knobs, matrix.x.T, strict=True)]
    alone, family, running = np.ones(n_knobs), np.ones(n_knobs), 0.0
    order: list[int] = []
    taken: list[Floats] = []
    left = list(range(n_knobs))
    while left:
        judged = _Round(trials, taken, {k: columns[k] for k in left})
        evidence = {k: judged.evidence(k, shapes[k]) for k in left}
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


def _contrasts(knob: Knob, column: Floats) -> list[Contrast]:
    """Return what a knob with the positions `column` (N,) is tested for."""
    if is_choice(knob):
        choices = knob_columns(knob, column, np.ones(len(column), dtype=bool), 1)
        return [Contrast(choices, np.ones(choices.shape[1]))]
    weights = np.array(_WEIGHTS[: len(np.unique(column)) - 1])
    beyond = [(column > place).astype(float)[:, None] for place in _CLIFFS]
    steps = [step for step in beyond if min(step.sum(), (1 - step).sum()) >= _FEWEST_BEYOND]
    cliffs = [Contrast(step, np.ones(1), _RARER) for step in steps]
    return [Contrast(polynomials(column, len(weights)), weights), *cliffs]
