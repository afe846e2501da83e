"""Intervals of several small samples with one standard deviation pooled over them."""

from collections.abc import Iterable, Sequence
from math import nan

from scipy import stats

from analysis.stats.paired_tests import NO_SPREAD, PairedInterval, spread


def pooled_intervals(samples: Sequence[Iterable[float]]) -> tuple[PairedInterval, ...]:
    """Return the mean of each sample with its two-sided 95 % t interval.

    The variance is the pooled one of a one-way analysis of variance, sum((n_i - 1) s_i^2) / sum(n_i - 1), with
    sum(n_i - 1) degrees of freedom (Fisher 1925). Three values alone have a t of 4.3; three samples of three have 2.4.
    It assumes that the samples scatter alike. Bounds and p are NaN for an empty sample, and where no sample has two
    values. `sd` is the pooled one.
    """
    found = [spread(sample) for sample in samples]
    free = sum(max(0, one.n - 1) for one in found)
    if not free:
        return tuple(PairedInterval(one.n, one.mean, nan, nan, nan, nan) for one in found)
    sd = (sum((one.n - 1) * one.sd**2 for one in found if one.n > 1) / free) ** 0.5
    reach = float(stats.t.ppf(0.975, free))
    return tuple(_interval(one.n, one.mean, sd, free, reach) for one in found)


def _interval(n: int, mean: float, sd: float, free: int, reach: float) -> PairedInterval:
    if not n:
        return PairedInterval(0, nan, sd, nan, nan, nan)
    error = sd / n**0.5
    # Without any spread the statistic is infinite, or 0/0. Then p is that of the sign-flip test of n equal differences.
    spreads = sd > NO_SPREAD
    p = float(2 * stats.t.sf(abs(mean) / error, free)) if spreads else 2.0 ** (1 - n) if mean else 1.0
    return PairedInterval(n, mean, sd, mean - reach * error, mean + reach * error, p)
