"""Many groups compared with one: differences from a control with intervals and p values that hold for all together.

Dunnett's (1955) test pools the noise of all groups. So it shows too much where a group scatters more than the others,
and one collapsed run hides every difference. Here a group that scatters more than the pool has its own variance, and a
group that scatters far more than all others stays out of the pool. Welch's t tests with Holm's correction are no
remedy: three values say too little of their variance. `benchmarks.calibration` measures all three.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from analysis.stats.paired_tests import ALPHA
from analysis.stats.pooled_interval import pooled_variance

Floats = npt.NDArray[np.float64]
_Name = TypeVar("_Name", bound=Hashable)

#: Chance with which the smallest difference that could have been shown is shown.
POWER = 0.8

#: A group stays out of the pool where an F test against all others has a p below this, over the number of groups.
_FAR_NOISIER = 0.001

#: Nodes of the quadrature over the control's mean, and over the pooled standard deviation.
_N_NODES = 32


@dataclass(frozen=True)
class Difference:
    """The control's mean minus a group's.

    Attributes:
        n: values of the group.
        mean: the difference; NaN without values.
        low, high: interval that holds for all groups together, 95 %; NaN without an estimate of the noise.
        p: two-sided, for all groups together; NaN as above.
        detectable: the smallest difference that is shown with a chance of POWER; NaN as above.
    """

    n: int
    mean: float
    low: float
    high: float
    p: float
    detectable: float


def differences(control: Sequence[float], groups: Mapping[_Name, Sequence[float]]) -> dict[_Name, Difference]:
    """Return the difference of each group from the control, in the unit of the values.

    The groups may have unequal sizes. There is no noise to compare with where no group has two values, or where no
    value differs from the others of its group; then intervals and p values are NaN.
    """
    pool, free = _pooled([control, *groups.values()])
    found = {
        name: Difference(len(values), _mean(control) - _mean(values), *[nan] * 4) for name, values in groups.items()
    }
    compared = [name for name, values in groups.items() if values and control]
    if not compared or not free or not pool:
        return found
    own = _error(control, pool)
    errors = np.array([own + _error(groups[name], pool) for name in compared])
    shares = own / errors  # correlation of two differences: the root of the product of their shares
    reach = critical_value(shares, free)
    for name, error in zip(compared, np.sqrt(errors).tolist(), strict=True):
        mean = found[name].mean
        found[name] = Difference(
            found[name].n,
            mean,
            mean - reach * error,
            mean + reach * error,
            tail(abs(mean) / error, shares, free),
            _detectable(reach, free) * error,
        )
    return found


def tail(value: float, shares: Floats, free: int) -> float:
    """Return the chance that any of K correlated t statistics is farther from 0 than `value` (Dunnett 1955).

    Args:
        value: at least 0.
        shares: (K,) the part of the control in the variance of each difference, below 1.
        free: degrees of freedom of the pooled variance.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(_N_NODES)
    scale, heights = _scales(free)
    centre, width = np.sqrt(shares) * nodes[:, None], np.sqrt(1 - shares)
    reach = value * scale[:, None, None]
    inside = special.ndtr((centre + reach) / width) - special.ndtr((centre - reach) / width)
    within = inside.prod(axis=2) @ (weights / weights.sum())
    return float(np.clip(1 - within @ heights, 0, 1))


def critical_value(shares: Floats, free: int) -> float:
    """Return the value whose `tail` is ALPHA; arguments as there."""
    lower, upper = stats.t.isf([ALPHA / 2, ALPHA / 2 / len(shares)], free)
    if len(shares) == 1:
        return float(lower)
    return float(optimize.brentq(lambda value: tail(value, shares, free) - ALPHA, 0.9 * lower, 1.1 * upper))


def _detectable(reach: float, free: int) -> float:
    """Return the difference in standard errors with which a t statistic exceeds `reach` with a chance of POWER."""
    scale, heights = _scales(free)

    def missing(difference: float) -> float:
        beyond = special.ndtr(difference - reach * scale) + special.ndtr(-difference - reach * scale)
        return float(beyond @ heights) - POWER

    return float(optimize.brentq(missing, 0, 5 * reach + 5))


def _scales(free: int) -> tuple[Floats, Floats]:
    """Return estimated over true standard deviation at the nodes of a quadrature, and weights that add up to 1."""
    places, heights = np.polynomial.legendre.leggauss(_N_NODES)
    return np.sqrt(stats.chi2.ppf((places + 1) / 2, free) / free), heights / 2


def _pooled(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Return the variance pooled over the groups that do not scatter far more than the others, and its degrees."""
    spread = sorted((_variance(values), len(values) - 1) for values in groups if len(values) > 1)
    while len(spread) > 2:
        (largest, degrees), (others, free) = spread[-1], pooled_variance(spread[:-1])
        if not others or stats.f.sf(largest / others, degrees, free) * len(spread) > _FAR_NOISIER:
            break
        spread.pop()
    return pooled_variance(spread)


def _error(values: Sequence[float], pool: float) -> float:
    """Return the squared standard error of a mean; the variance is the pooled one, or the group's own if larger.

    A group's own variance stands apart from the pool here, because changes may scatter more than the control does.
    """
    return max(_variance(values) if len(values) > 1 else 0.0, pool) / len(values)


def _variance(values: Sequence[float]) -> float:
    """Return the variance of two or more values: exactly 0 where they are equal, which rounding would hide."""
    return float(np.var(values, ddof=1)) if np.ptp(values) else 0.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else nan
