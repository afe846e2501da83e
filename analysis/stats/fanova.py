"""fANOVA (Hutter, Hoos, Leyton-Brown 2014): the share of a forest's variance that each knob's own effect explains.

A marginal is a mean over the space as it is searched. A knob on a log scale counts in factors, and the values of a
whole number or of a step count alike. Optuna's FanovaImportanceEvaluator takes the mean over the bare numbers, in which
all but the last decade of a log scale is next to nothing. Beside that the numbers are Optuna's, to rounding: the same
forest, the same marginals. Optuna walks each tree once per split value. Here all leaves are boxes in one array, and a
marginal is a product of two matrices. At 500 trials and 12 knobs that takes one second instead of eight, so every group
of classes can have its own shares.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial
from sklearn.ensemble import RandomForestRegressor

from search_spaces.knob import Knob

Floats = npt.NDArray[np.float64]

_N_TREES, _MAX_DEPTH = 64, 64


def fanova_shares(trials: Sequence[FrozenTrial], knobs: Sequence[Knob], y: Floats, *, seed: int) -> dict[str, float]:
    """Return knob name -> its share of importance; all 0 where no tree finds any variance.

    Args:
        trials: N trials, each with every knob.
        knobs: knobs that take at least two values.
        y: (N,) the target.
        seed: of the forest.
    """
    ordered = sorted(knobs, key=lambda knob: knob.name)  # Optuna's order: the random draws of the forest depend on it
    encoded = [_encoded(knob, [trial.params[knob.name] for trial in trials]) for knob in ordered]
    forest = RandomForestRegressor(_N_TREES, max_depth=_MAX_DEPTH, random_state=seed)
    forest.fit(np.column_stack(encoded), y)
    starts = np.cumsum([0, *(columns.shape[1] for columns in encoded)])
    columns_of = [range(start, end) for start, end in pairwise(starts)]
    of_trees = [_tree_shares(tree.tree_, columns_of) for tree in forest.estimators_]
    found = [shares for shares in of_trees if shares is not None]
    means = np.mean(found, axis=0) if found else np.zeros(len(ordered))
    total = float(means.sum())
    return {knob.name: float(mean) / total if total else 0.0 for knob, mean in zip(ordered, means, strict=True)}


def _encoded(knob: Knob, values: Sequence[Any]) -> Floats:
    """Return (N, k) columns, each 0 to 1 over the searched space: the place on the knob's scale, or one per choice.

    A value of a whole number or of a step owns half a step on either side, as when it is drawn.
    """
    spec = knob.distribution
    if isinstance(spec, CategoricalDistribution):
        return np.array([[value == choice for choice in spec.choices] for value in values], dtype=float)
    assert isinstance(spec, FloatDistribution | IntDistribution)
    half = (spec.step or 0) / 2
    low, high, numbers = spec.low - half, spec.high + half, np.array(values, dtype=float)
    if spec.log:
        low, high, numbers = np.log(low), np.log(high), np.log(numbers)
    return np.asarray((numbers - low) / (high - low))[:, None]


def _tree_shares(tree: Any, columns_of: Sequence[range]) -> list[float] | None:
    """Return each knob's share of one tree's variance over the whole range; None where the tree is constant."""
    low, high = _boxes(tree, columns_of[-1].stop)
    leaves = tree.feature < 0
    low, high, value = low[leaves], high[leaves], tree.value[leaves, 0, 0]
    widths = high - low
    volume = widths.prod(axis=1)
    variance = _variance(value, volume)
    if variance <= 0:
        return None
    shares = []
    for columns in columns_of:
        rest = volume / widths[:, columns].prod(axis=1)
        cover, sizes = np.ones((len(value), 1)), np.ones(1)
        for column in columns:
            splits = np.unique(tree.threshold[tree.feature == column])
            edges = np.concatenate([[0.0], splits, [1.0]])
            middles = (edges[1:] + edges[:-1]) / 2
            inside = (low[:, column, None] < middles) & (middles <= high[:, column, None])
            cover = (cover[:, :, None] * inside[:, None, :]).reshape(len(value), -1)
            sizes = np.outer(sizes, np.diff(edges)).ravel()
        weights = rest @ cover
        shares.append(_variance((rest * value) @ cover / weights, weights * sizes) / variance)
    return shares


def _boxes(tree: Any, n_columns: int) -> tuple[Floats, Floats]:
    """Return the lower and upper corner of every node's box, (nodes, n_columns) each."""
    low, high = np.zeros((tree.node_count, n_columns)), np.ones((tree.node_count, n_columns))
    for node in np.flatnonzero(tree.feature >= 0):  # a child's number is above its parent's
        left, right, column = tree.children_left[node], tree.children_right[node], tree.feature[node]
        low[left] = low[right] = low[node]
        high[left] = high[right] = high[node]
        high[left, column] = low[right, column] = tree.threshold[node]
    return low, high


def _variance(values: Floats, weights: Floats) -> float:
    mean = np.average(values, weights=weights)
    return float(np.average((values - mean) ** 2, weights=weights))
