"""A mixed linear model: fixed columns, and groups of random columns with a variance for each group.

    y = X b + sum over k of B_k u_k + e,   u_k ~ N(0, v_k I),   e ~ N(0, v_0 I)

The variances are estimated by restricted maximum likelihood (Patterson & Thompson 1971) with the MM algorithm of Zhou,
Hu, Zhou & Lange (2019); meanwhile the noise is kept above a tenth of the values' variance. With q random columns an
iteration costs q^3, whatever the number of rows (Henderson 1950).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_N_ITERATIONS = 60

#: A group's variance never falls below this share of the noise, because a variance of 0 would never rise again.
_LEAST = 1e-8

#: The noise never falls below this share of the values' variance. With as many columns as values the likelihood
#: grows without a bound where noise vanishes, and the mean between the values could lie anywhere.
_LEAST_NOISE = 0.1

#: The same beside the values' squares, where the fixed columns explain every value: the square of a rounding.
_ROUNDING = float(np.finfo(float).eps) ** 2

#: The most that a group may vary, in the values' variances: columns without any trace in the trials say nothing.
_MOST = 1e4

#: A value may lie this many sd from what the others predict; sd of normal values in medians of their sizes.
_ALLOWED, _SD_OF_MEDIAN = 3.0, 1.4826

#: Interquartile ranges from the nearer quartile to which values are drawn in before the first model, and the rounds.
_START, _N_ROUNDS = 3.0, 4


@dataclass(frozen=True)
class MixedModel:
    """A fitted model.

    Attributes:
        columns: (N, p + q) fixed columns, then the random ones.
        variances: (K,) one per group.
        noise: v_0.
        n_fixed: p.
        effects: (p + q,) estimates of b and predictions of u.
        log_likelihood: the restricted one, but for a constant that depends on N and p alone.
    """

    columns: Floats
    variances: Floats
    noise: float
    n_fixed: int
    effects: Floats
    log_likelihood: float
    _solve: Floats
    _inner: Floats

    @classmethod
    def fit(cls, y: Floats, fixed: Floats, groups: Sequence[Floats]) -> Self:
        """Estimate the variances.

        Args:
            y: (N,), not constant.
            fixed: (N, p) independent columns, p below N.
            groups: K arrays (N, q_k).
        """
        sizes = [group.shape[1] for group in groups]
        columns, n_fixed = np.column_stack([fixed, *groups]), fixed.shape[1]
        owner = np.repeat(np.arange(len(sizes)), sizes)
        inner, outer = columns.T @ columns, columns.T @ y
        free, total = len(y) - n_fixed, float(y @ y)
        scale = np.array([np.mean(np.square(group).sum(axis=1)) for group in groups])
        centred = float(np.square(y - fixed @ np.linalg.lstsq(fixed, y, rcond=None)[0]).sum()) / free
        centred = max(centred, _ROUNDING * total / free)
        variances = np.full(len(sizes), centred / 2 / max(1, len(sizes))) / np.maximum(scale, 1e-12)
        noise, most = centred / 2, _MOST * centred / np.maximum(scale, 1e-12)
        for _ in range(_N_ITERATIONS):
            solve = _solved(inner, n_fixed, noise / variances[owner])
            effects = solve @ outer
            # B' P y and tr(B_k' P B_k), where P y are the residuals over the noise.
            slopes = (outer - inner @ effects)[n_fixed:] / noise
            traces = (np.diag(inner) - (inner @ solve * inner).sum(axis=1))[n_fixed:] / noise  # `inner` is symmetric
            squares = np.bincount(owner, slopes**2, len(sizes))
            weights = np.bincount(owner, traces, len(sizes)).clip(1e-12)
            rest = total - 2 * float(effects @ outer) + float(effects @ inner @ effects)
            left = len(y) - float((solve * inner).sum())
            variances = np.clip(variances * np.sqrt(squares / weights), _LEAST * noise, most)
            noise = max(rest / left, _LEAST_NOISE * centred)
        return cls.given(y, fixed, groups, variances / noise)

    @classmethod
    def given(cls, y: Floats, fixed: Floats, groups: Sequence[Floats], ratios: Floats) -> Self:
        """Estimate all but the groups' variances, which are `ratios` (K,) times the noise; the rest as in `fit`."""
        columns, n_fixed = np.column_stack([fixed, *groups]), fixed.shape[1]
        penalty = 1 / np.repeat(ratios, [group.shape[1] for group in groups])
        inner = columns.T @ columns
        solve = _solved(inner, n_fixed, penalty)
        effects = solve @ (columns.T @ y)
        free = len(y) - n_fixed
        # y' (y - X b - B u), as squares: values far from 0 would leave hardly a digit of the product.
        squares = np.square(y - columns @ effects).sum() + (penalty * np.square(effects[n_fixed:])).sum()
        noise = max(float(squares) / free, float(np.finfo(float).tiny))
        # |V| |X' V^-1 X| over the noise's powers, by Henderson's equations, whose inverse is `solve`.
        size = free * np.log(noise) - np.log(penalty).sum() - np.linalg.slogdet(solve)[1]
        return cls(columns, ratios * noise, noise, n_fixed, effects, -float(size + free) / 2, solve, inner)

    @property
    def fitted(self) -> Floats:
        """The model's mean at its own rows, (N,)."""
        return np.asarray(self.columns @ self.effects)

    @property
    def leverage(self) -> Floats:
        """How much each value moves the mean at its own row, (N,): 0 to 1."""
        return np.asarray((self.columns @ self._solve * self.columns).sum(axis=1))

    @property
    def free(self) -> float:
        """Degrees of freedom that the effects leave to the noise."""
        return float(len(self.columns) - (self._solve * self._inner).sum())  # the sum of the leverages

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return the mean of y at `rows` (M, p + q) of columns, (M,), and the covariance of its errors, (M, M)."""
        return np.asarray(rows @ self.effects), np.asarray(self.noise * rows @ self._solve @ rows.T)

    def squares(self, within: Floats, whole: Floats) -> Floats:
        """Return a' P a for R columns a, (R,), by their products with `columns` (p + q, R) and a' a (R,).

        P is as for `cleaned`. Many models of the same rows share these products, which are most of the work.
        """
        return np.asarray((whole - np.einsum("qr,qr->r", within, self._solve @ within)) / self.noise)

    def cleaned(self, columns: Floats) -> Floats:
        """Return P A for columns A (N, ...): what the model leaves of them, in units of the noise's variance."""
        return np.asarray((columns - self.columns @ (self._solve @ (self.columns.T @ columns))) / self.noise)


def drawn_to_model(y: Floats, fixed: Floats, groups: Sequence[Floats]) -> Floats:
    """Return `y` (N,) with each value that the others contradict drawn in to what they allow (Huber's pseudo-values).

    Each value is compared with the model's prediction from all others. A run that diverged by chance stands alone and
    is drawn in. Values beyond a cliff, or on a narrow peak, support each other and stay. What the others predict is
    kept within the values' range: where hardly more values than columns are left, it can lie anywhere. Where the
    quartiles tie, every value stays: the median of the distances would be that of the values that tie.
    """
    lower, upper = np.quantile(y, [0.25, 0.75])
    if lower == upper:
        return y
    values = np.clip(y, lower - _START * (upper - lower), upper + _START * (upper - lower))
    for _ in range(_N_ROUNDS):
        model = MixedModel.fit(values, fixed, groups)
        left = (1 - model.leverage).clip(1e-6)
        predicted = (values - (values - model.fitted) / left).clip(y.min(), y.max())  # each from all others
        unit = _SD_OF_MEDIAN * np.median(np.abs(y - predicted) * np.sqrt(left)) / np.sqrt(left)
        values = predicted + np.clip(y - predicted, -_ALLOWED * unit, _ALLOWED * unit)
    return np.asarray(values)


def _solved(inner: Floats, n_fixed: int, penalty: Floats) -> Floats:
    """The inverse of Henderson's equations, divided by the noise's variance."""
    return np.asarray(np.linalg.inv(inner + np.diag(np.concatenate([np.full(n_fixed, 1e-10), penalty]))))
