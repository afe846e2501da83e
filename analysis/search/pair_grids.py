"""Pairs of knobs in two layers: the means of complete trials on a grid that respects log scales, and a surrogate.

Cells without a trial stay empty in both layers. Nothing is interpolated into them: contours through noisy points show
the noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from analysis.reading.knob_text import is_log
from analysis.search.forests import Surrogate
from analysis.search.trial_matrix import position
from search_spaces.knob import Knob

#: Cells of the surrogate's layer per side of an observed cell.
_FINER = 4


@dataclass(frozen=True)
class Axis:
    """One knob divided into K cells: `edges` (K + 1,) in the knob's unit, or `choices` (K,) where it is a choice."""

    knob: Knob
    edges: tuple[float, ...] = ()
    choices: tuple[Any, ...] = ()

    @property
    def size(self) -> int:
        """Number of cells K."""
        return len(self.choices) or len(self.edges) - 1

    def cell(self, value: Any) -> int | None:
        """Return the index of the cell `value` falls into; None outside the searched range."""
        if self.choices:
            return self.choices.index(value) if value in self.choices else None
        # A value sampled on a log scale can miss the bound by rounding.
        slack = 1e-9 * (self.edges[-1] - self.edges[0])
        if not self.edges[0] - slack <= value <= self.edges[-1] + slack:
            return None
        return int(np.clip(np.searchsorted(self.edges, value, side="right") - 1, 0, self.size - 1))

    def middles(self) -> list[Any]:
        """Return the K middles of the cells (geometric on a log scale), or the choices."""
        if self.choices:
            return list(self.choices)
        low, high = np.array(self.edges[:-1]), np.array(self.edges[1:])
        return [float(middle) for middle in (np.sqrt(low * high) if is_log(self.knob) else (low + high) / 2)]

    def bounds(self, index: int) -> str:
        """The cell in words: '1 to 1.7' or the choice."""
        return str(self.choices[index]) if self.choices else f"{self.edges[index]:.2g} to {self.edges[index + 1]:.2g}"


@dataclass(frozen=True)
class PairGrid:
    """Complete trials on x cells by y cells: `mean` (Ky, Kx) fractions, NaN where `n` (Ky, Kx) is 0."""

    x: Axis
    y: Axis
    mean: npt.NDArray[np.float64]
    n: npt.NDArray[np.int64]

    def frame(self) -> pd.DataFrame:
        """Return one row per cell, blank cells included: x_knob, x, y_knob, y, n, mean."""
        xs, ys = ([axis.bounds(index) for index in range(axis.size)] for axis in (self.x, self.y))
        return _cells(self.x, self.y, xs, ys).assign(n=self.n.ravel(), mean_val_balanced_accuracy=self.mean.ravel())


def _cells(x: Axis, y: Axis, xs: Sequence[Any], ys: Sequence[Any]) -> pd.DataFrame:
    """Return one row per cell, x fastest: x_knob, x, y_knob, y."""
    cells = pd.DataFrame([(i, j) for j in ys for i in xs], columns=["x", "y"])
    return cells.assign(x_knob=x.knob.name, y_knob=y.knob.name)[["x_knob", "x", "y_knob", "y"]]


def pair_grids(trials: Sequence[FrozenTrial], knobs: Sequence[Knob]) -> tuple[PairGrid, ...]:
    """Return one grid per pair of `knobs`; `trials` must be complete ones. Without trials there are no grids."""
    if not trials:
        return ()
    axes = [cut_axis(knob, n_cells=n_cells(len(trials))) for knob in knobs]
    return tuple(pair_grid(trials, x, y) for x, y in combinations(axes, 2))


def pair_grid(trials: Sequence[FrozenTrial], x: Axis, y: Axis) -> PairGrid:
    """Return means and counts; a trial in which either knob is absent (inactive) is left out."""
    total = np.zeros((y.size, x.size))
    n = np.zeros((y.size, x.size), dtype=np.int64)
    for trial in trials:
        if x.knob.name not in trial.params or y.knob.name not in trial.params or trial.value is None:
            continue
        column, row = x.cell(trial.params[x.knob.name]), y.cell(trial.params[y.knob.name])
        if column is not None and row is not None:
            total[row, column] += trial.value
            n[row, column] += 1
    mean = np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)
    return PairGrid(x, y, mean, n)


@dataclass(frozen=True)
class PairSurrogate:
    """A surrogate's partial dependence on finer cells: `mean` (Fy, Fx) fractions, NaN where the grid has no trial."""

    x: Axis
    y: Axis
    mean: npt.NDArray[np.float64]

    def frame(self) -> pd.DataFrame:
        """Return one row per cell, blank ones too: x_knob, x, y_knob, y (middles or choices), partial_dependence."""
        cells = _cells(self.x, self.y, self.x.middles(), self.y.middles())
        return cells.assign(partial_dependence=self.mean.ravel())


def pair_surrogate(surrogate: Surrogate, grid: PairGrid) -> PairSurrogate:
    """Return the surrogate's partial dependence on `grid`, each cell divided again, NaN where the cell has no trial."""
    columns = tuple(surrogate.matrix.names.index(axis.knob.name) for axis in (grid.x, grid.y))
    fine = [_cut_again(axis) for axis in (grid.x, grid.y)]
    at = [np.array([position(axis.knob, value) for value in axis.middles()]) for axis in fine]
    mean = surrogate.partial_dependence((columns[0], columns[1]), (at[0], at[1]))
    supported = grid.n > 0
    for side, (axis, coarse) in enumerate(zip(reversed(fine), (grid.y, grid.x), strict=True)):
        supported = np.repeat(supported, axis.size // coarse.size, axis=side)
    return PairSurrogate(fine[0], fine[1], np.where(supported, mean, np.nan))


def _cut_again(axis: Axis) -> Axis:
    """Divide every cell into _FINER equal ones; a choice stays whole."""
    if axis.choices:
        return axis
    spaced = np.geomspace if is_log(axis.knob) else np.linspace
    ends = zip(axis.edges[:-1], axis.edges[1:], strict=True)
    inner = [float(edge) for low, high in ends for edge in spaced(low, high, _FINER + 1)[:-1]]
    return Axis(axis.knob, edges=(*inner, axis.edges[-1]))


def n_cells(n_trials: int) -> int:
    """Return the cells per side, 3 to 6: two trials per cell if the trials were spread evenly."""
    return int(np.clip(np.sqrt(n_trials / 2), 3, 6))


def cut_axis(knob: Knob, *, n_cells: int) -> Axis:
    """Divide a knob's range into equal cells (equal factors on a log scale), or one cell per value if it has few."""
    spec = knob.distribution
    if isinstance(spec, CategoricalDistribution):
        return Axis(knob, choices=tuple(spec.choices))
    assert isinstance(spec, FloatDistribution | IntDistribution)
    if spec.step and not spec.log and round((spec.high - spec.low) / spec.step) < n_cells:
        values = np.arange(round((spec.high - spec.low) / spec.step) + 1) * spec.step + spec.low
        edges = np.append(values - spec.step / 2, spec.high + spec.step / 2)
    elif spec.log:
        edges = np.geomspace(spec.low, spec.high, n_cells + 1)
    else:
        edges = np.linspace(spec.low, spec.high, n_cells + 1)
    return Axis(knob, edges=tuple(float(edge) for edge in edges))
