"""The effect of one variable as a curve: its band, its best places, and what it costs at most to stand elsewhere.

The effect is a parabola and, beside it, a smooth function (a Gaussian process on cosines; Rasmussen & Williams 2006) or
one narrow peak or valley. A smooth function bends alike everywhere, so it takes the top off a peak on a flat curve
(Ruppert & Carroll 2000). The widths, the sizes and the peak's place are not chosen: models with many of them are
averaged, weighed by their restricted likelihood (Hoeting, Madigan, Raftery & Volinsky 1999). The true curve is none of
them, and a likelihood that rules out what it should doubt makes bands too narrow. So the weights are a root of the
likelihood (Grünwald & van Ommen 2017). The band is that of the prediction's error: it holds the chance that the curve
bends where no value shows it. A value that all others contradict is drawn in first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from numpy.polynomial.legendre import legvander
from scipy import stats

from analysis.stats.mixed_model import MixedModel, drawn_to_model

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Widths of a bend, in shares of the range, and the variances of the smooth function, in variances of the noise.
_WIDTHS = (0.03, 0.06, 0.12, 0.25, 0.5)
_RATIOS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)

#: Standard deviations of a narrow peak or valley, in shares of the range, and the variance of its height, in variances
#: of the noise. Its centres lie a standard deviation apart.
_PEAK_WIDTHS = (0.035, 0.07)
_PEAK_RATIO = 16.0

#: The width at which the effects of the other variables are estimated.
_MIDDLE = _WIDTHS[2]

#: The power of the likelihood.
_POWER = 1 / 2

#: The most cosines, and the size below which one is of no account beside the first.
_N_COSINES, _LEAST_SIZE = 40, 1e-3

#: Level of the bounds, and of each end of an interval that holds as often.
_LEVEL = 0.95
_TWO_SIDED = (1 + _LEVEL) / 2

_N_DRAWS = 4000


@dataclass(frozen=True)
class EffectCurve:
    """Means at G places, with what is known of them.

    Attributes:
        mean: (G,).
        covariance: (G, G) of the errors of `mean`.
        free: degrees of freedom of the noise.
    """

    mean: Floats
    covariance: Floats
    free: float

    @property
    def half(self) -> Floats:
        """Half the width of the pointwise 95 % interval, (G,)."""
        return self._quantile(_TWO_SIDED) * np.sqrt(np.diag(self.covariance).clip(0))

    @property
    def best(self) -> int:
        """The place with the highest mean."""
        return int(self.mean.argmax())

    @property
    def not_below_best(self) -> Bools:
        """The places that are not shown to lie below the best one, (G,): the interval of the difference holds 0."""
        return self._least_behind(_TWO_SIDED) <= 0

    def cost(self, place: int) -> tuple[float, float, float]:
        """Return how far `place` lies below the best one: estimate, and bounds that hold in 95 % each (one-sided).

        They hold for one place that was chosen without these values, of one variable: not for the dearest of many.
        """
        least = max(0.0, float(self._least_behind(_LEVEL)[place]))
        return float(self.mean.max() - self.mean[place]), least, self.costs_at_most([place])

    def costs_at_most(self, places: Sequence[int] | npt.NDArray[np.int64]) -> float:
        """Return the 95 % bound of what any of `places` costs: of the highest mean minus the lowest among them."""
        return float(np.quantile(self._draws.max(axis=1) - self._draws[:, places].min(axis=1), _LEVEL))

    def _quantile(self, level: float) -> float:
        return float(stats.t.ppf(level, max(1.0, self.free)))

    def _least_behind(self, level: float) -> Floats:
        """Lower bound of how far each place lies below the best one, (G,)."""
        return np.asarray(self.mean.max() - self.mean - self._quantile(level) * self._spread_from(self.best))

    def _spread_from(self, place: int) -> Floats:
        """Standard errors of the differences between `place` and each place, (G,)."""
        variances = np.diag(self.covariance)
        return np.asarray(np.sqrt((variances + variances[place] - 2 * self.covariance[place]).clip(0)))

    @cached_property
    def _draws(self) -> Floats:
        """Curves that the values allow, (R, G)."""
        sizes, axes = np.linalg.eigh(self.covariance)
        rng = np.random.default_rng(0)
        normal = rng.normal(size=(_N_DRAWS, len(sizes))) * np.sqrt(sizes.clip(0)) @ axes.T
        free = max(1.0, self.free)
        return np.asarray(self.mean + normal * np.sqrt(free / rng.chisquare(free, (_N_DRAWS, 1))))


class ChoiceMeans(EffectCurve):
    """Means of choices, none of which says anything of another.

    The best of many equal ones looks better than the others by chance. So the differences between a choice and all
    others are bounded together (Dunnett 1955, by draws). It lies behind the best by the largest of these bounds at
    least (Hsu 1984). A curve needs no such correction, because its neighbours rise and fall together.
    """

    def _least_behind(self, level: float) -> Floats:
        errors, behind = self._draws - self.mean, np.empty(len(self.mean))
        for place in range(len(behind)):
            spread = self._spread_from(place)
            largest = ((errors - errors[:, [place]]) / np.where(spread > 0, spread, np.inf)).max(axis=1)
            behind[place] = (self.mean - self.mean[place] - np.quantile(largest, level) * spread).max()
        return behind


def effect_curve(
    x: Floats, y: Floats, grid: Floats, *, beside: Floats | None = None, others: Sequence[Floats] = ()
) -> EffectCurve:
    """Return the mean of `y` along `grid`.

    Args:
        x: (N,) places, 0 to 1.
        y: (N,), not constant.
        grid: (G,) places.
        beside: (N, S) columns that are taken out as fixed effects, the first of them ones; ones alone by default.
        others: columns (N, q) of the other variables, each group a random effect with a variance of its own.
    """
    beside = np.ones((len(x), 1)) if beside is None else beside
    degree = min(2, len(np.unique(x)) - 1)
    fixed = np.column_stack([beside, polynomials(x, degree)])
    groups = [cosines(x, _MIDDLE), *others]
    y = drawn_to_model(y, fixed, groups)
    rough = MixedModel.fit(y, fixed, groups)
    known = rough.variances[1:] / rough.noise
    parts, logs = [], []
    for columns, on_grid, ratios, prior in _shapes(x, grid):
        rows = _mean_rows(beside, others, polynomials(grid, degree), on_grid)
        for ratio in ratios:
            model = MixedModel.given(y, fixed, [columns, *others], np.array([ratio, *known]))
            parts.append((*model.predict(rows), model.free))
            logs.append(np.log(prior) + _POWER * model.log_likelihood)
    means, covariances, free = (np.array(part) for part in zip(*parts, strict=True))
    weights = np.exp(np.array(logs) - max(logs))
    weights /= weights.sum()
    mean = weights @ means
    apart = means - mean
    covariance = np.einsum("m,mij->ij", weights, covariances) + (weights * apart.T) @ apart
    return EffectCurve(mean, covariance, float(weights @ free))


def effect_of_choices(
    member: Floats, y: Floats, *, beside: Floats | None = None, others: Sequence[Floats] = ()
) -> ChoiceMeans:
    """Return the mean of `y` for each of K choices.

    Args:
        member: (N, K) of 0 and 1: which choice each value has. Every choice has a value.
        y, beside, others: as for `effect_curve`; N exceeds K - 1 and the columns of `beside` together.
    """
    beside = np.ones((len(y), 1)) if beside is None else beside
    fixed = np.column_stack([beside, member[:, 1:]])
    model = MixedModel.fit(drawn_to_model(y, fixed, others), fixed, others)
    return ChoiceMeans(*model.predict(_mean_rows(beside, others, np.eye(member.shape[1])[:, 1:])), model.free)


def polynomials(positions: Floats, degree: int) -> Floats:
    """Return Legendre polynomials of degree 1 to `degree`, (N, degree); over an even range each has variance 1."""
    powers = legvander(2 * positions - 1, degree)[:, 1:]
    return np.asarray(powers * np.sqrt(2 * np.arange(1, degree + 1) + 1), dtype=np.float64)


def cosines(x: Floats, width: float) -> Floats:
    """Return (N, k) cosines of places `x` whose random sum bends within about `width` of the range."""
    waves = np.pi * np.arange(1, _N_COSINES + 1)
    sizes = np.exp(-((waves * width) ** 2) / 4)
    return np.asarray(np.cos(np.outer(x, waves)) * sizes)[:, sizes > _LEAST_SIZE]


def _shapes(x: Floats, grid: Floats) -> Iterator[tuple[Floats, Floats, tuple[float, ...], float]]:
    """Yield what may stand beside the parabola: smooth functions, then peaks, with half of the prior weight each.

    A shape is its columns at `x` (N, k) and on `grid` (G, k), the variances that its effects may have, in variances of
    the noise, and the prior weight of each.
    """
    for width in _WIDTHS:
        smooth = cosines(x, width)
        size = np.sqrt(np.mean(np.square(smooth).sum(axis=1)))
        yield smooth / size, cosines(grid, width) / size, _RATIOS, 1 / len(_WIDTHS) / len(_RATIOS)
    for width in _PEAK_WIDTHS:
        centres = np.linspace(0, 1, round(1 / width) + 1)
        for centre in centres:
            at_x, on_grid = (np.exp(-np.square((at - centre) / width) / 2)[:, None] for at in (x, grid))
            yield at_x, on_grid, (_PEAK_RATIO,), 1 / len(_PEAK_WIDTHS) / len(centres)


def _mean_rows(beside: Floats, others: Sequence[Floats], *own: Floats) -> Floats:
    """Return columns where a variable's `own`, (G, k) each, are given and all else is as in the values' mean."""
    means = [np.tile(columns.mean(axis=0), (len(own[0]), 1)) for columns in (beside, *others)]
    return np.column_stack([means[0], *own, *means[1:]])
