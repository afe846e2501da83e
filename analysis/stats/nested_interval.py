"""Differences nested in cuts of the long tail: d[r, s] of training seed s on cut r.

An interval over the seeds of one cut says how the gain would vary had training gone otherwise on those very images. In
the tail these are a handful, so another draw of them can move a gain by more than training does; only cuts tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from analysis.stats.paired_tests import PairedInterval, paired_interval


@dataclass(frozen=True)
class Nested:
    """A gain seen on several cuts; values in the differences' own unit.

    Attributes:
        over_cuts: interval of the mean over cuts; its n counts cuts.
        n_runs: pairs of runs in all cuts together.
        lowest, highest: of the cut means.
        sd_cuts: variance component between cuts, as a standard deviation: what another choice of training images
            does. 0 where the cuts differ by less than their seeds explain; NaN where it cannot be told from sd_seeds.
        sd_seeds: variance component between seeds within a cut, pooled; NaN where no cut has two pairs.
    """

    over_cuts: PairedInterval
    n_runs: int
    lowest: float
    highest: float
    sd_cuts: float
    sd_seeds: float


def nested(differences: Mapping[int, Sequence[float]]) -> Nested:
    """Summarise paired differences by cut; NaN differences drop their pair, and a cut without a pair drops out.

    The interval over cuts is the paired t interval on the R cut means, with R - 1 degrees of freedom. It covers both
    levels: with d[r, s] = mu + a[r] + e[r, s], a cut mean over S seeds is mu + a[r] + mean of e[r, .], so the R means
    are independent draws whose spread is var(a) + var(e) / S, the very variance of a cut mean, whatever the two parts
    are. That holds because no two cuts share a training seed. Treating all R * S runs as one sample would claim
    R * S - 1 degrees of freedom for what R choices of images decide. Cuts weigh alike, also where a run is missing.

    The components are those of the analysis of variance with unequal group sizes (Searle, Casella, McCulloch, Variance
    Components, 1992), the one between cuts cut off at 0.

    Args:
        differences: cut -> its differences, paired by seed.
    """
    finite = (np.asarray(list(values), dtype=float) for values in differences.values())
    groups = [group[np.isfinite(group)] for group in finite]
    groups = [group for group in groups if group.size]
    means = np.array([group.mean() for group in groups])
    n = np.array([group.size for group in groups], dtype=float)
    sd_cuts, sd_seeds = _components(groups, means, n)
    lowest, highest = (float(means.min()), float(means.max())) if means.size else (nan, nan)
    return Nested(paired_interval(means), int(n.sum()), lowest, highest, sd_cuts, sd_seeds)


def _components(groups: list[np.ndarray], means: np.ndarray, n: np.ndarray) -> tuple[float, float]:
    """Standard deviations between cuts and between seeds within one."""
    n_cuts, n_total = len(groups), float(n.sum())
    if n_total <= n_cuts:
        return nan, nan
    within = sum(float(((group - mean) ** 2).sum()) for group, mean in zip(groups, means, strict=True))
    within /= n_total - n_cuts
    if n_cuts < 2:
        return nan, within**0.5
    grand = float(n @ means) / n_total
    between = float(n @ (means - grand) ** 2) / (n_cuts - 1)
    typical_n = (n_total - float((n**2).sum()) / n_total) / (n_cuts - 1)
    return max(0.0, (between - within) / typical_n) ** 0.5, within**0.5
