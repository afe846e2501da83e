"""Which knobs matter: a test of each knob's main effect that sees slopes, peaks, curves and cliffs, and choices.

For each knob the others are random effects of a mixed model (`stats.mixed_model`): what they explain is taken out as
far as the trials support it. What is left is tested for a slope, a parabola, a polynomial of degree four and a cliff
near either end of the knob's range, or for differences between its choices, by F. A value far from the others is drawn
in (Tukey's fence), and where there is one, everything is tested without such trials too: a cliff shows in the first
test, and a trial that diverged by chance hides nothing in the second.

The least of these p values is compared with the least ones after the knob's values were permuted among the trials of
the same stage of the search, which keeps the sampler's drift out. Westfall and Young's step-down method (1993) judges
all knobs together: in at most 5 % of studies one is named in vain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from analysis.search.columns import columns_of, is_choice, knob_columns, stage_columns
from analysis.search.trial_matrix import Floats, TrialMatrix, drawn_in
from analysis.stats.effect_curve import polynomials
from analysis.stats.mixed_model import MixedModel
from search_spaces.knob import Knob

#: Trials below which nothing is tested.
MIN_TRIALS = 12

#: Chance that any knob without effect is named.
LEVEL = 0.05

#: Degrees of the polynomials that are tested; the second one stands for the other knobs.
_DEGREES = (1, 2, 4)

#: Where in its range a knob may fall off a cliff, and the fewest trials beyond it.
_CLIFFS = (0.15, 0.85)
_FEWEST_BEYOND = 3

#: Share of the squares that always counts as noise: a perfect fit has a large F, not an infinite one.
_LEAST_REST = 1e-12

_N_PERMUTATIONS = 499

Orders = npt.NDArray[np.int64]


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
    fixed, (values, near) = stage_columns(stage), drawn_in(y)
    shapes = [_shapes(knob, column) for knob, column in zip(matrix.knobs, matrix.x.T, strict=True)]
    others = columns_of(matrix, _DEGREES[1])
    rng = np.random.default_rng(0)
    evidence = np.zeros((n_knobs, 1 + n_permutations))
    for k in range(n_knobs):
        there = np.flatnonzero(matrix.present[:, k])
        orders = there[np.vstack([np.arange(len(there)), *_permutations(stage[there], n_permutations, rng)])]
        for kept in (np.ones(len(there), dtype=bool), near[there]):
            rows = there[kept]
            if len(rows) < MIN_TRIALS or not np.ptp(values[rows]):
                continue
            rest = [columns[rows] for j, columns in enumerate(others) if j != k and columns[rows].any()]
            model = MixedModel.fit(values[rows], fixed[rows][:, _varies(fixed[rows])], rest)
            evidence[k] = np.maximum(evidence[k], _evidence(shapes[k], model, values[rows], orders[:, kept]))
            if near[there].all():
                break
    whole = MixedModel.fit(values, fixed, others)
    parts = whole.variances * [columns.var(axis=0).sum() for columns in others]
    alone = (1 + (evidence[:, 1:] >= evidence[:, :1]).sum(axis=1)) / (1 + n_permutations)
    frame = pd.DataFrame(
        {
            "knob": matrix.names,
            "p": alone,
            "p_family": _step_down(evidence),
            "share": parts / (parts.sum() + whole.noise),
            "n": matrix.present.sum(axis=0),
        }
    )
    frame.insert(3, "matters", frame["p_family"] <= LEVEL)
    clearest = np.lexsort((-frame["share"], -evidence[:, 0]))
    return Screen(frame.iloc[clearest].reset_index(drop=True), float(whole.noise / (parts.sum() + whole.noise)))


def _varies(columns: Floats) -> npt.NDArray[np.bool_]:
    """Which fixed columns are of use among some of the trials: the first, and those that are not constant there."""
    return np.r_[True, np.ptp(columns[:, 1:], axis=0) > 0]


def _shapes(knob: Knob, column: Floats) -> list[Floats]:
    """Return the shapes that are tested, (N, k) each."""
    everywhere = np.ones(len(column), dtype=bool)
    if is_choice(knob):
        return [knob_columns(knob, column, everywhere, 1)]
    n_values = len(np.unique(column))
    cliffs = [column > place for place in _CLIFFS]
    steps = [beyond.astype(float)[:, None] for beyond in cliffs if min(beyond.sum(), (~beyond).sum()) >= _FEWEST_BEYOND]
    return [*(polynomials(column, degree) for degree in _DEGREES if degree < n_values), *steps]


def _permutations(stage: npt.NDArray[np.int64], n: int, rng: np.random.Generator) -> Orders:
    """Return (n, N) orders of the trials, each of which exchanges trials of one stage only."""
    orders = np.tile(np.arange(len(stage)), (n, 1))
    for one in np.unique(stage):
        members = np.flatnonzero(stage == one)
        orders[:, members] = rng.permuted(np.tile(members, (n, 1)), axis=1)
    return orders


def _evidence(shapes: Sequence[Floats], model: MixedModel, values: Floats, orders: Orders) -> Floats:
    """Return (R,) the largest -log p of the shapes for `values` (n,), one per row of `orders` (R, n) of the trials."""
    residuals = model.cleaned(values)
    total = float(values @ residuals)
    found = np.zeros(len(orders))
    if total <= _LEAST_REST * float(values @ values) / model.noise:
        return found  # the other knobs explain every value: a few trials with many knobs
    for shape in shapes:
        n, width = len(values), shape.shape[1]
        permuted = shape[orders].transpose(1, 0, 2)  # (N, R, k)
        cleaned = model.cleaned(permuted.reshape(n, -1)).reshape(permuted.shape)
        inner = np.einsum("nrk,nrl->rkl", permuted, cleaned)
        inner += (1e-9 * np.trace(inner[0]) + 1e-12) * np.eye(width)
        outer = np.einsum("nrk,n->rk", permuted, residuals)
        explained = np.einsum("rk,rk->r", outer, np.linalg.solve(inner, outer[:, :, None])[:, :, 0]).clip(0, total)
        free = n - model.n_fixed - width
        if free > 0:
            ratio = explained / width / ((total - explained).clip(_LEAST_REST * total) / free)
            found = np.maximum(found, -stats.f.logsf(ratio, width, free))
    return found


def _step_down(evidence: Floats) -> Floats:
    """Return (D,) p values that hold for all knobs together: each against the largest of those not clearer."""
    adjusted, running = np.ones(len(evidence)), 0.0
    clearest = np.argsort(-evidence[:, 0], kind="stable")
    for place, k in enumerate(clearest):
        largest = evidence[clearest[place:], 1:].max(axis=0)
        running = max(running, (1 + int((largest >= evidence[k, 0]).sum())) / (1 + evidence.shape[1] - 1))
        adjusted[k] = running
    return adjusted
