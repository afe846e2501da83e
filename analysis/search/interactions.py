"""Interactions of knobs: the variance that products of two knobs explain beyond the effect of each knob.

A polynomial chaos expansion of order two (Sudret 2008): Legendre polynomials of each knob's position up to degree two,
or contrasts of a choice; degrees three and four are random effects of a mixed model, taken out as far as the trials
support it. For each pair follow the products of degree one and two, orthogonal to all main effects. At a hundred trials
it finds planted interactions that the partial dependence of a forest misses: a forest has to split on a knob before it
can find its interaction with another.

A p value compares the residuals' normal scores with normal noise, so that heavy tails make no interactions. There a
product of degrees d and e weighs 1 / (d e), because effects that turn more often are rarer: with equal weights four
products a pair, of which one or two hold an effect, hide it behind the noise of the others. A value far
from the others would make some of its own. It is drawn in to Tukey's fence, and where there is one, everything is
measured without such trials too. The larger p value counts: a cliff of one knob looks like an interaction without the
trials beyond it, a corner that diverged looks like one with them.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from analysis.search.columns import columns_of, is_choice, products
from analysis.search.trial_matrix import Floats, TrialMatrix, drawn_in
from analysis.stats.mixed_model import MixedModel
from analysis.stats.permuted_evidence import orthonormal
from search_spaces.knob import Knob

#: The fewest degrees of freedom beside the main effects.
MIN_FREE = 20

#: p below which a pair is shown to interact.
LEVEL = 0.05

_N_DRAWS = 500

#: Size of a direction of standardised columns, per root of the trials, below which it exists only by rounding.
_LEAST_SIZE = 1e-8


@dataclass(frozen=True)
class Interactions:
    """Strengths of all pairs.

    Attributes:
        frame: one row per pair, the strongest first: x_knob, y_knob, strength, p. `strength` is the share of the
            target's variance, corrected for the number of products, so chance can bring it below 0. `p` is the share of
            draws of noise in which the strongest of all pairs is as strong; so it holds for the whole family of pairs.
            Empty where fewer than MIN_FREE degrees of freedom are left.
        free: degrees of freedom beside the main effects.
    """

    frame: pd.DataFrame
    free: int

    @property
    def clear(self) -> tuple[tuple[str, str], ...]:
        """The pairs that are shown to interact, the strongest first."""
        shown = self.frame[self.frame["p"] < LEVEL]
        return tuple(zip(shown["x_knob"], shown["y_knob"], strict=True))


def interactions(matrix: TrialMatrix, y: Floats, *, n_draws: int = _N_DRAWS, seed: int = 0) -> Interactions:
    """Measure every pair of the knobs of `matrix` for `y` (N,)."""
    values, near = drawn_in(y) if len(y) else (y, np.ones(0, dtype=bool))
    found = _measured(matrix, values, n_draws, seed)
    if near.all() or found.frame.empty:
        return found
    without = _measured(matrix.rows(near), values[near], n_draws, seed)
    if without.frame.empty:
        return without
    pairs = ["x_knob", "y_knob"]
    both = found.frame.merge(without.frame[[*pairs, "p"]], on=pairs, suffixes=("", "_without"), validate="one_to_one")
    larger = both[["p", "p_without"]].max(axis=1)
    return Interactions(found.frame.assign(p=larger), found.free)


def _measured(matrix: TrialMatrix, y: Floats, n_draws: int, seed: int) -> Interactions:
    bases, bends = columns_of(matrix, 2), columns_of(matrix, 4)
    least = _LEAST_SIZE * np.sqrt(len(y))
    fixed = orthonormal(np.column_stack([np.ones(len(y)), *bases]), least)
    free = len(y) - fixed.shape[1]
    pairs = list(combinations(range(len(bases)), 2))
    if free < MIN_FREE or not pairs or not np.ptp(y):
        return Interactions(pd.DataFrame(columns=["x_knob", "y_knob", "strength", "p"]), free)
    total = float(((y - y.mean()) ** 2).sum())
    # A kink that the knob's own parabola cannot follow would look like an interaction.
    higher = [columns[:, base.shape[1] :] for base, columns in zip(bases, bends, strict=True)]
    higher = [columns for columns in higher if columns.shape[1]]
    white = _whitening(y, fixed, higher)
    mains = orthonormal(white @ fixed, least)
    rest = _cleaned((white @ y)[:, None], mains)
    scores = _cleaned(_normal_scores(rest[:, 0])[:, None], mains)
    chance = _cleaned(np.random.default_rng(seed).normal(size=(len(y), n_draws)), mains)
    chance *= np.linalg.norm(scores) / np.linalg.norm(chance, axis=0)
    spread = float((scores**2).sum())
    drawn = np.column_stack([rest, scores, chance])
    squares = (drawn**2).sum(axis=0)
    joint = [products(bases[i], bases[j]) for i, j in pairs]
    degrees = [_degrees(knob, base.shape[1]) for knob, base in zip(matrix.knobs, bases, strict=True)]
    whitened = _cleaned(white @ np.column_stack(joint), mains)  # of all pairs at once
    ends = np.cumsum([each.shape[1] for each in joint])[:-1]
    strengths, evidence, largest = [], [], np.full(n_draws, -np.inf)
    for (i, j), columns in zip(pairs, np.split(whitened, ends, axis=1), strict=True):
        axes, weights = _axes(columns, 1 / np.outer(degrees[i], degrees[j]).ravel(), least)
        strengths.append(float(_strength(axes, np.ones(len(weights)), drawn[:, :1], squares[:1], free)[0] / total))
        found = _strength(axes, weights, drawn[:, 1:], squares[1:], free) / spread
        evidence.append(float(found[0]))
        largest = np.maximum(largest, found[1:])
    frame = pd.DataFrame(
        {
            "x_knob": [matrix.names[i] for i, _ in pairs],
            "y_knob": [matrix.names[j] for _, j in pairs],
            "strength": strengths,
            "p": [(1 + int((largest >= value).sum())) / (1 + n_draws) for value in evidence],
        }
    )
    return Interactions(frame.sort_values("strength", ascending=False, ignore_index=True, kind="stable"), free)


def _whitening(y: Floats, fixed: Floats, groups: list[Floats]) -> Floats:
    """(N, N) factor that makes noise and the effects of random `groups` together as plain as the noise alone."""
    model = MixedModel.fit(y, fixed, groups)
    covariance = model.noise * np.eye(len(y))
    for variance, columns in zip(model.variances, groups, strict=True):
        covariance += variance * columns @ columns.T
    return np.linalg.inv(np.linalg.cholesky(covariance / model.noise))


def _normal_scores(values: Floats) -> Floats:
    """The normal deviates of the ranks (Blom 1958)."""
    return np.asarray(stats.norm.ppf((stats.rankdata(values) - 0.375) / (len(values) + 0.25)))


def _cleaned(columns: Floats, basis: Floats) -> Floats:
    return np.asarray(columns - basis @ (basis.T @ columns))


def _degrees(knob: Knob, n_columns: int) -> Floats:
    """Return the degree of each column of a knob; contrasts of a choice have no order, so all have degree one."""
    return np.ones(n_columns) if is_choice(knob) else np.arange(1.0, n_columns + 1)


def _axes(columns: Floats, weights: Floats, least: float) -> tuple[Floats, Floats]:
    """Return orthonormal axes (N, K) of columns, the heaviest first, and their weights, whose squares add up to 1.

    So nothing depends on the order of the knobs or of a choice's values, but for rounding.
    """
    order = np.argsort(-weights, kind="stable")
    kept = order[np.abs(np.diag(np.linalg.qr(columns[:, order])[1])) > least]
    size = max(float(np.linalg.norm(weights[kept])), _LEAST_SIZE)
    return np.asarray(np.linalg.qr(columns[:, kept])[0]), weights[kept] / size


def _strength(axes: Floats, weights: Floats, drawn: Floats, squares: Floats, free: int) -> Floats:
    """Weighted squares along `axes` (N, K), less those along as many random directions, per column of `drawn` (N, R).

    `squares` (R,) are the sums of squares of these columns.
    """
    along = (axes.T @ drawn) ** 2
    noise = (squares - along.sum(axis=0)) / max(1, free - len(weights))
    return np.asarray(weights @ along - weights.sum() * noise)
