"""A forest that stands in for training: how well it predicts unseen trials, and what it says on average."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor

from analysis.search.forest import fit_forest
from analysis.search.trial_matrix import Design, Floats, position

#: Complete trials below which no surrogate is fitted.
MIN_TRIALS = 16

_N_TREES = 100
_N_FOLDS = 5
_N_BACKGROUND = 64


@dataclass(frozen=True)
class Surrogate:
    """A forest over the knobs of `matrix`; `r2` is its share of explained variance on trials it has not seen.

    r2 pools the predictions of five-fold cross-validation; 0 or less says that the mean predicts as well.
    """

    matrix: Design
    forest: ExtraTreesRegressor
    r2: float

    def predict(self, params: Mapping[str, Any]) -> float:
        """Return the predicted accuracy of one configuration; inactive knobs are absent from `params`."""
        return float(self.forest.predict(self._row(params)[None])[0])

    def partial_dependence(self, columns: tuple[int, int], at: tuple[Floats, Floats]) -> Floats:
        """Return (Ky, Kx) predictions with two knobs set and the others as in the trials, averaged over up to 64.

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

    def _row(self, params: Mapping[str, Any]) -> Floats:
        filled = [
            np.median(column[there]) for column, there in zip(self.matrix.x.T, self.matrix.present.T, strict=True)
        ]
        given = zip(self.matrix.knobs, filled, strict=True)
        return np.array([position(knob, params[knob.name]) if knob.name in params else fill for knob, fill in given])


def fit_surrogate(matrix: Design, y: Floats) -> Surrogate | None:
    """Fit the forest to all trials; None where there are too few, or nothing varies."""
    if len(y) < MIN_TRIALS or not matrix.knobs or not np.ptp(y):
        return None
    predicted = np.empty(len(y))
    for fold in _folds(len(y)):
        kept = np.ones(len(y), dtype=bool)
        kept[fold] = False
        predicted[fold] = fit_forest(matrix.x[kept], y[kept], seed=0, n_trees=_N_TREES).predict(matrix.x[fold])
    r2 = 1 - float(((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    return Surrogate(matrix, fit_forest(matrix.x, y, seed=0, n_trees=_N_TREES), r2)


def _folds(n: int) -> list[npt.NDArray[np.int64]]:
    return np.array_split(np.random.default_rng(0).permutation(n), _N_FOLDS)
