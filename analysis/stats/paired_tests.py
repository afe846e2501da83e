"""Paired comparisons over seeds: t interval, Holm's correction, exact sign-flip test.

On six pairs the percentile bootstrap covers 87 % at a nominal 95 %. The paired t interval keeps 95 %, so it decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import nan
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

Verdict = Literal["gain", "loss", "unclear", "too few"]

#: Pairs below which an interval is shown but nothing is claimed from it.
MIN_PAIRS = 6

#: Level of the claims: a family of comparisons makes a false claim in at most this share of studies.
ALPHA = 0.05

#: Pairs up to which every sign pattern of the sign-flip test is enumerated (2^16 patterns).
_MAX_EXACT = 16
_N_RANDOM = 20_000


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of `n` finite values; NaN where n is too small for them."""

    n: int
    mean: float
    sd: float


@dataclass(frozen=True)
class PairedInterval:
    """Mean of paired differences with its two-sided t interval; bounds and p are NaN below two pairs."""

    n: int
    mean: float
    sd: float
    low: float
    high: float
    p: float

    @property
    def verdict(self) -> Verdict:
        """'gain' or 'loss' where the interval excludes 0, 'too few' below MIN_PAIRS pairs, else 'unclear'."""
        if self.n < MIN_PAIRS:
            return "too few"
        if self.low > 0:
            return "gain"
        return "loss" if self.high < 0 else "unclear"


@dataclass(frozen=True)
class SignFlip:
    """Two-sided sign-flip test: its p, and the smallest p that `n` pairs can give."""

    n: int
    p: float
    smallest_p: float


def spread(values: Iterable[float]) -> Spread:
    """Return mean and sd (n - 1 degrees of freedom) of the finite values."""
    finite = _finite(values)
    mean = float(finite.mean()) if finite.size else nan
    sd = float(finite.std(ddof=1)) if finite.size > 1 else nan
    return Spread(finite.size, mean, sd)


def paired_interval(differences: Iterable[float]) -> PairedInterval:
    """Return the 95 % paired t interval of the mean difference (Student 1908); NaN differences drop their pair."""
    summary = spread(differences)
    n, mean, sd = summary.n, summary.mean, summary.sd
    if n < 2:
        return PairedInterval(n, mean, sd, nan, nan, nan)
    error = sd / np.sqrt(n)
    half = float(stats.t.ppf(0.975, n - 1) * error)
    # Without any spread the statistic is 0/0 for a mean of 0, and infinite for any other mean.
    statistic = abs(mean) / error if error else (np.inf if mean else 0.0)
    p = float(2 * stats.t.sf(statistic, n - 1))
    return PairedInterval(n, mean, sd, mean - half, mean + half, p)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return Holm's (1979) step-down adjusted p values; a NaN stays NaN and does not count as a test."""
    raw = np.asarray(p_values, dtype=float)
    adjusted = np.full(raw.shape, nan)
    tested = np.flatnonzero(np.isfinite(raw))
    order = tested[np.argsort(raw[tested], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(raw[order] * factors))
    return tuple(float(p) for p in adjusted)


def adjusted_verdict(n: int, mean: float, p: float) -> Verdict:
    """Return 'gain' or 'loss' where the adjusted p is at most ALPHA, 'too few' below MIN_PAIRS pairs, else 'unclear'.

    Args:
        n: pairs.
        mean: of their differences.
        p: of the paired t test, adjusted for its family.
    """
    if n < MIN_PAIRS:
        return "too few"
    if not p <= ALPHA:  # a p of NaN tells nothing apart
        return "unclear"
    return "gain" if mean > 0 else "loss"


def sign_flip(differences: Iterable[float]) -> SignFlip:
    """Return the two-sided sign-flip test of a mean difference of 0 (Fisher 1935).

    All 2^n sign patterns are enumerated up to 16 pairs; beyond, 20,000 seeded patterns and the observed one.
    """
    finite = _finite(differences)
    n = finite.size
    if n == 0:
        return SignFlip(0, nan, nan)
    if n <= _MAX_EXACT:
        signs = np.array(list(product((1.0, -1.0), repeat=n)))
        smallest = 2.0 ** (1 - n)
    else:
        drawn = np.random.default_rng(0).choice((1.0, -1.0), size=(_N_RANDOM, n))
        signs = np.vstack([np.ones(n), drawn])
        smallest = 1 / len(signs)
    sums = np.abs(signs @ finite)
    # Sums of the same numbers in another order differ by rounding, but equal patterns must count as equal.
    at_least = sums >= abs(finite.sum()) - 1e-12 * np.abs(finite).sum()
    return SignFlip(n, float(at_least.mean()), smallest)


def _finite(values: Iterable[float]) -> npt.NDArray[np.float64]:
    array = np.asarray(list(values), dtype=float)
    return array[np.isfinite(array)]
