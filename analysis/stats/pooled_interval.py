"""Several small samples with one standard deviation pooled over them, and the intervals that it gives."""

from collections.abc import Iterable, Sequence
from math import nan

from scipy import stats

from analysis.stats.paired_tests import NO_SPREAD, PairedInterval, Spread, spread


def pooled_variance(samples: Iterable[tuple[float, int]]) -> tuple[float, int]:
    """Return the variance of samples that scatter alike, and its degrees of freedom.

    It is the pooled one of a one-way analysis of variance, sum(f_i v_i) / sum(f_i), with sum(f_i) degrees (Fisher
    1925). A larger sample weighs more, as it knows its variance better. NaN and 0 where no sample has a variance.

    Args:
        samples: the variance of each sample and its degrees of freedom, one less than its values; 0 for a sample of
            one value, whose variance is not read.
    """
    known = [(variance, degrees) for variance, degrees in samples if degrees > 0]
    free = sum(degrees for _, degrees in known)
    return (sum(variance * degrees for variance, degrees in known) / free if free else nan), free


def pooled_sd(samples: Iterable[Spread]) -> tuple[float, int]:
    """Return the root of `pooled_variance` of samples that are known by their spreads, and its degrees of freedom."""
    variance, free = pooled_variance((one.sd**2, one.n - 1) for one in samples)
    return variance**0.5, free


def pooled_intervals(samples: Sequence[Iterable[float]]) -> tuple[PairedInterval, ...]:
    """Return the mean of each sample with its two-sided 95 % t interval.

    The variance is that of `pooled_variance`. Three values alone have a t of 4.3; three samples of three have 2.4.
    It assumes that the samples scatter alike. Bounds and p are NaN for an empty sample, and where no sample has two
    values. `sd` is the pooled one.
    """
    found = [spread(sample) for sample in samples]
    sd, free = pooled_sd(found)
    if not free:
        return tuple(PairedInterval(one.n, one.mean, nan, nan, nan, nan) for one in found)
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
