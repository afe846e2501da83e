"""Pairs of knobs: mean validation accuracy and n of complete trials on a grid that respects log scales.

Cells without a trial stay empty: nothing is interpolated (contours drawn through noisy points show the noise).
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

from search_spaces.space import Knob


@dataclass(frozen=True)
class Axis:
    """One knob cut into K cells: `edges` (K + 1,) in the knob's unit, or `choices` (K,) where it is a choice."""

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
        """A row a cell, blank cells included: x_knob, x, y_knob, y, n, mean."""
        cells = [(i, j) for j in range(self.y.size) for i in range(self.x.size)]
        return pd.DataFrame(
            {
                "x_knob": self.x.knob.name,
                "x": [self.x.bounds(i) for i, _ in cells],
                "y_knob": self.y.knob.name,
                "y": [self.y.bounds(j) for _, j in cells],
                "n": [int(self.n[j, i]) for i, j in cells],
                "mean_val_balanced_accuracy": [float(self.mean[j, i]) for i, j in cells],
            }
        )


def pair_grids(trials: Sequence[FrozenTrial], knobs: Sequence[Knob]) -> tuple[PairGrid, ...]:
    """Return a grid for each pair of `knobs`; `trials` must be complete ones. No grids without trials."""
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


def n_cells(n_trials: int) -> int:
    """Return cells a side: two trials a cell if they were spread evenly, between 3 and 6."""
    return int(np.clip(np.sqrt(n_trials / 2), 3, 6))


def cut_axis(knob: Knob, *, n_cells: int) -> Axis:
    """Cut a knob's range into equal cells (equal factors on a log scale), or one cell a value where it has few."""
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
