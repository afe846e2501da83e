"""Differences nested in subsets of the long tail: d[r, s] of training seed s on subset r.

An interval over the seeds of one subset says how the gain varies when training is repeated on the same images. In the
tail these are a handful, so another draw of images can move a gain by more than training does. Only subsets show that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from analysis.stats.paired_tests import PairedInterval, paired_interval
from analysis.stats.pooled_interval import pooled_variance


@dataclass(frozen=True)
class NestedInterval:
    """A gain measured on several subsets; values in the unit of the differences.

    Attributes:
        over_subsets: interval of the mean over subsets; its n counts subsets.
        n_runs: pairs of runs in all subsets together.
        lowest, highest: the lowest and the highest subset mean.
        sd_subsets: variance component between subsets, as a standard deviation: the effect of another choice of
            training images. 0 where the subsets differ by less than their seeds explain; NaN where it cannot be
            separated from sd_seeds.
        sd_seeds: variance component between seeds within a subset, pooled; NaN where no subset has two pairs.
    """

    over_subsets: PairedInterval
    n_runs: int
    lowest: float
    highest: float
    sd_subsets: float
    sd_seeds: float


def nested_interval(differences: Mapping[int, Sequence[float]], *, resolution: float = 0.0) -> NestedInterval:
    """Summarise paired differences by subset. A NaN difference drops its pair, and a subset without a pair drops out.

    The interval over subsets is the paired t interval on the R subset means, with R - 1 degrees of freedom. It covers
    both levels. With d[r, s] = mu + a[r] + e[r, s], a subset mean over S seeds is mu + a[r] + mean of e[r, .]. So the
    R means are independent draws with variance var(a) + var(e) / S, whatever the two parts are. This holds because no
    two subsets share a training seed. Treating all R * S runs as one sample would claim R * S - 1 degrees of freedom,
    although R choices of images decide. Subsets have equal weight, also where a run is missing.

    The components are those of the analysis of variance with unequal group sizes (Searle, Casella, McCulloch, Variance
    Components, 1992). The component between subsets is truncated at 0.

    Args:
        differences: subset -> its differences, paired by seed.
        resolution: sd of the rounding error in one difference, see `paired_interval`. The components ignore it.
    """
    finite = (np.asarray(list(values), dtype=float) for values in differences.values())
    groups = [group[np.isfinite(group)] for group in finite]
    groups = [group for group in groups if group.size]
    means = np.array([group.mean() for group in groups])
    n = np.array([group.size for group in groups], dtype=float)
    sd_subsets, sd_seeds = _components(groups, means, n)
    lowest, highest = (float(means.min()), float(means.max())) if means.size else (nan, nan)
    over_subsets = paired_interval(means, resolution=resolution)
    return NestedInterval(over_subsets, int(n.sum()), lowest, highest, sd_subsets, sd_seeds)


def _components(groups: list[np.ndarray], means: np.ndarray, n: np.ndarray) -> tuple[float, float]:
    """Return the standard deviations between subsets and between seeds within one."""
    n_subsets, n_total = len(groups), float(n.sum())
    within, free = pooled_variance((float(group.var(ddof=1)), group.size - 1) for group in groups if group.size > 1)
    if not free:
        return nan, nan
    if n_subsets < 2:
        return nan, within**0.5
    grand = float(n @ means) / n_total
    between = float(n @ (means - grand) ** 2) / (n_subsets - 1)
    typical_n = (n_total - float((n**2).sum()) / n_total) / (n_subsets - 1)
    return max(0.0, (between - within) / typical_n) ** 0.5, within**0.5
