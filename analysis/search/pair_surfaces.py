"""Pairs of knobs as a surface: the surrogate's accuracy on a grid, with the effects of all other knobs taken out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial

from analysis.reading.knob_text import leading_knobs
from analysis.search.columns import is_choice
from analysis.search.surrogate import Surrogate
from analysis.search.trial_matrix import (
    Bools,
    Floats,
    at_position,
    has_steps,
    position,
    told_value,
    values_between,
)
from search_spaces.knob import Knob

#: Cells along a number.
_N_CELLS = 24

#: Distance from a cell, in shares of a number's range, at which a trial counts e^(-1/2) as much as inside.
_NEAR = 0.1

#: Trials with both knobs, below which a pair has no surface.
_FEWEST = 8

#: The clearest knobs whose pairs are shown, and pairs that interact.
_N_CLEAREST, _N_INTERACTING = 3, 3


@dataclass(frozen=True)
class Axis:
    """One knob divided into K cells.

    Attributes:
        knob: on this axis.
        places: (K,) positions of the cells' middles, 0 to 1 on the knob's scale.
        values: (K,) in the knob's unit, or the choices.
        edges: (K + 1,) of the cells in the knob's unit; a choice stands at its index and is one unit wide.
    """

    knob: Knob
    places: Floats
    values: tuple[Any, ...]
    edges: Floats

    @classmethod
    def of(cls, knob: Knob) -> "Axis":
        """Divide a knob's range evenly on its own scale; one cell per choice, and per step where those are few."""
        if isinstance(knob.distribution, CategoricalDistribution):
            choices = tuple(knob.distribution.choices)
            return cls(knob, np.linspace(0, 1, len(choices)), choices, np.arange(len(choices) + 1, dtype=float) - 0.5)
        if has_steps(knob):
            values = values_between(knob, 0, 1, _N_CELLS)
            middles = np.array([position(knob, value) for value in values])
            between = (middles[1:] + middles[:-1]) / 2
            edges = np.array([2 * middles[0] - between[0], *between, 2 * middles[-1] - between[-1]])
        else:
            middles, edges = (np.arange(_N_CELLS) + 0.5) / _N_CELLS, np.linspace(0, 1, _N_CELLS + 1)
            values = tuple(map(float, at_position(knob, middles)))
        return cls(knob, middles, values, at_position(knob, edges))

    @property
    def is_choice(self) -> bool:
        """Whether the cells are choices."""
        return is_choice(self.knob)

    def near(self, positions: Floats) -> Floats:
        """Return how near each of N positions lies to each cell, (K, N): 0 to 1; a choice is near itself alone."""
        apart = self.places[:, None] - positions[None]
        return np.asarray(np.abs(apart) < 1e-9 if self.is_choice else np.exp(-((apart / _NEAR) ** 2) / 2), dtype=float)

    def cell(self, positions: Floats) -> npt.NDArray[np.int64]:
        """Return the cell of each position, (N,)."""
        return np.asarray(np.abs(self.places[:, None] - positions[None]).argmin(axis=0))


@dataclass(frozen=True)
class PairSurface:
    """Two knobs: Ky by Kx cells.

    Attributes:
        mean: (Ky, Kx) the surrogate's accuracy (fraction) with the other knobs as in the trials that have both.
        n: (Ky, Kx) complete trials near the cell, the nearer the more.
        may_stay: (Ky, Kx) whether the cell is not told from the highest one (95 %).
        points: one row per complete trial that has both knobs: trial, x, y (in the knob's unit, or the choice), score
            (fraction, the other knobs' effects taken out).
    """

    x: Axis
    y: Axis
    mean: Floats
    n: Floats
    may_stay: Bools
    points: pd.DataFrame

    @property
    def best(self) -> tuple[Any, Any]:
        """The values of x and y in the highest cell, as `told_value` gives them."""
        row, column = np.unravel_index(self.mean.argmax(), self.mean.shape)
        return told_value(self.x.knob, self.x.values, int(column)), told_value(self.y.knob, self.y.values, int(row))

    def frame(self) -> pd.DataFrame:
        """Return cells and trials as one table: part ('cell' or 'trial'), x_knob, x, y_knob, y, mean, n, may_stay."""
        cells = pd.DataFrame([(x, y) for y in self.y.values for x in self.x.values], columns=["x", "y"])
        cells = cells.assign(part="cell", mean=self.mean.ravel(), n=self.n.ravel(), may_stay=self.may_stay.ravel())
        trials = self.points.rename(columns={"score": "mean"}).assign(part="trial")
        both = pd.concat([cells, trials], ignore_index=True).assign(x_knob=self.x.knob.name, y_knob=self.y.knob.name)
        return both[["part", "trial", "x_knob", "x", "y_knob", "y", "mean", "n", "may_stay"]]


def pair_surface(surrogate: Surrogate, trials: Sequence[FrozenTrial], x_knob: str, y_knob: str) -> PairSurface | None:
    """Return the surface of two knobs; None where they do not vary, or hardly a trial has both.

    A knob that exists at one choice of the other one has no surface with it: the other choices have no such trial.
    `trials` are the complete ones that the surrogate was fitted to, in their order.
    """
    matrix = surrogate.matrix
    if not {x_knob, y_knob} <= set(matrix.names):
        return None
    columns = [matrix.names.index(name) for name in (x_knob, y_knob)]
    there = matrix.present[:, columns].all(axis=1)
    if there.sum() < _FEWEST:
        return None
    x, y = (Axis.of(matrix.knobs[k]) for k in columns)
    across, along = (matrix.x[there, k] for k in columns)
    if any(axis.is_choice and not axis.near(at).any(axis=1).all() for axis, at in ((x, across), (y, along))):
        return None
    curve = surrogate.pair(x_knob, y_knob, (x.places, y.places))
    shape = (len(y.values), len(x.values))
    mean = curve.mean.reshape(shape)
    n = y.near(along) @ x.near(across).T
    scores = mean[y.cell(along), x.cell(across)] + surrogate.residuals[there]
    having = (trials[int(k)] for k in np.flatnonzero(there))
    rows = [(trial.number, trial.params[x_knob], trial.params[y_knob]) for trial in having]
    points = pd.DataFrame(rows, columns=["trial", "x", "y"]).assign(score=scores)
    return PairSurface(x, y, mean, n, curve.not_below_best.reshape(shape), points)


def shown_pairs(
    knobs: Sequence[Knob], ranking: Sequence[str], named: Sequence[str], interacting: Sequence[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the pairs that a report shows large, the clearest first, and the others that it shows small.

    Large are the two clearest knobs, the pairs of the named ones, and those that interact. Small are the pairs of the
    knobs that every report shows.

    Args:
        knobs: of the space.
        ranking: the clearest knob first; may be empty.
        named: the knobs that are shown to matter.
        interacting: the strongest pair first.
    """
    core = [knob.name for knob in leading_knobs(knobs, ranking)]
    clearest = list(ranking[: max(2, min(len(named), _N_CLEAREST))]) or core[:2]
    large = list(dict.fromkeys([*combinations(clearest, 2), *interacting[:_N_INTERACTING]]))
    seen = {frozenset(pair) for pair in large}
    return large, [pair for pair in combinations(core, 2) if frozenset(pair) not in seen]
