"""Forests on the trials: permutation importances, and a surrogate of training.

Extremely randomised trees (Geurts, Ernst, Wehenkel 2006): as good as a random forest here and four times as fast.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor

from analysis.search.trial_matrix import Bools, Floats, TrialMatrix

_N_TREES = 32
_MIN_LEAF = 3

#: Complete trials below which no surrogate is fitted.
MIN_SURROGATE_TRIALS = 16

_N_SURROGATE_TREES = 100
_N_FOLDS = 5
_N_BACKGROUND = 64


def half_samples(n: int, n_samples: int, rng: np.random.Generator) -> Bools:
    """Return (n_samples, n) masks of n // 2 trials each, drawn without replacement.

    A statistic varies over half-samples as over bootstrap samples (Buja & Stuetzle 2006). Half-samples repeat no trial,
    which density estimates would take for structure, and they leave the other half for validation.
    """
    masks = np.zeros((n_samples, n), dtype=bool)
    for mask in masks:
        mask[rng.permutation(n)[: n // 2]] = True
    return masks


def forest_importance(x: Floats, y: Floats, present: Bools, *, n_samples: int, seed: int) -> tuple[Floats, Floats]:
    """Measure D knobs by the same forests, in R half-samples of the trials.

    Args:
        x: (N, D) positions, 0 to 1.
        y: (N,) finite, not constant.
        present: (N, D); a conditional knob is shuffled among the trials that have it. Its importance is then its own
            effect and not its parent's.
        n_samples: half-samples R.
        seed: of the halves, the forests and the shuffles.

    Returns:
        permutation: (R, D) rise of the squared error when a knob is shuffled, over the variance of y; measured on the
            half of the trials that the forest was not fitted to, so memorised noise counts 0.
        impurity: (R, D) mean decrease in impurity (MDI), shares that add up to 1.
    """
    rng = np.random.default_rng(seed)
    permutation, impurity = [], []
    for index, seen in enumerate(half_samples(len(y), n_samples, rng)):
        forest = fit_forest(x[seen], y[seen], seed=seed + index)
        orders = np.column_stack([shuffled_among(column, rng) for column in present[~seen].T])
        permutation.append(permuted_losses(forest.predict, x[~seen], y[~seen], orders) / y.var())
        impurity.append(forest.feature_importances_)
    return np.array(permutation), np.array(impurity)


def fit_forest(x: Floats, y: Floats, *, seed: int, n_trees: int = _N_TREES) -> ExtraTreesRegressor:
    """Fit one forest: 32 extremely randomised trees unless `n_trees` says otherwise."""
    return ExtraTreesRegressor(n_trees, min_samples_leaf=_MIN_LEAF, random_state=seed).fit(x, y)


def shuffled_among(there: Bools, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return row numbers (N,): the rows of `there` are permuted at random, the others keep their place."""
    order = np.arange(len(there))
    order[there] = rng.permutation(order[there])
    return order


def permuted_losses(predict: Callable[[Floats], Floats], x: Floats, y: Floats, orders: npt.NDArray[np.int64]) -> Floats:
    """Return (D,) rises of the mean squared error when column d takes its rows in `orders[:, d]` (Breiman 2001).

    All shuffled copies go through `predict` at once: one call of a forest costs many times as much as one row.
    """
    n, n_columns = x.shape
    copies = np.repeat(x[None], n_columns, axis=0)
    for column in range(n_columns):
        copies[column, :, column] = x[orders[:, column], column]
    shuffled = predict(copies.reshape(-1, n_columns)).reshape(n_columns, n)
    return np.asarray(((shuffled - y) ** 2).mean(axis=1) - ((predict(x) - y) ** 2).mean())


@dataclass(frozen=True)
class Surrogate:
    """A forest over the knobs of `matrix` that predicts validation balanced accuracy.

    `r2` is the share of variance that it explains on unseen trials: the pooled predictions of five-fold
    cross-validation. At 0 or less the mean predicts as well.
    """

    matrix: TrialMatrix
    forest: ExtraTreesRegressor
    r2: float

    def partial_dependence(self, columns: tuple[int, int], at: tuple[Floats, Floats]) -> Floats:
        """Return (Ky, Kx) predictions with two knobs set and the others as in the trials, a mean over up to 64 trials.

        Args:
            columns: of x and y in `matrix`.
            at: their positions, (Kx,) and (Ky,).
        """
        rows = self.matrix.x[self.matrix.present[:, list(columns)].all(axis=1)]
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _N_BACKGROUND)).astype(int)]
        x, y = np.meshgrid(*at)
        spots = np.repeat(rows[None], x.size, axis=0)
        spots[:, :, columns[0]], spots[:, :, columns[1]] = x.reshape(-1, 1), y.reshape(-1, 1)
        predicted = self.forest.predict(spots.reshape(-1, rows.shape[1]))
        return np.asarray(predicted.reshape(x.size, -1).mean(axis=1).reshape(x.shape))


def fit_surrogate(matrix: TrialMatrix, y: Floats) -> Surrogate | None:
    """Fit the forest to all trials; None where there are too few trials, or nothing varies."""
    if len(y) < MIN_SURROGATE_TRIALS or not matrix.knobs or not np.ptp(y):
        return None
    predicted = np.empty(len(y))
    for fold in np.array_split(np.random.default_rng(0).permutation(len(y)), _N_FOLDS):
        kept = np.ones(len(y), dtype=bool)
        kept[fold] = False
        forest = fit_forest(matrix.x[kept], y[kept], seed=0, n_trees=_N_SURROGATE_TREES)
        predicted[fold] = forest.predict(matrix.x[fold])
    r2 = 1 - float(((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    return Surrogate(matrix, fit_forest(matrix.x, y, seed=0, n_trees=_N_SURROGATE_TREES), r2)
