"""Paired comparisons over seeds: t interval, Holm's correction, exact sign-flip test.

On six pairs the percentile bootstrap covers 87 % at a nominal 95 %. The paired t interval keeps 95 %, so it decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import nan
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

Verdict = Literal["gain", "loss", "unclear", "too few", "incomplete"]

#: Pairs below which an interval is shown but nothing is claimed from it.
MIN_PAIRS = 6

#: Level of the claims: a family of comparisons makes a false claim in at most this share of studies.
ALPHA = 0.05

#: Level of the second look at one study; each further look has half the level of the look before it.
_SECOND_LOOK = 0.005

#: Spreads of differences below this are errors of floating point (fractions).
NO_SPREAD = 1e-9

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
    """Two-sided sign-flip test: its p, and the smallest p that as many pairs can give."""

    p: float
    smallest_p: float


def spread(values: Iterable[float]) -> Spread:
    """Return mean and sd (n - 1 degrees of freedom) of the finite values."""
    finite = _finite(values)
    mean = float(finite.mean()) if finite.size else nan
    sd = float(finite.std(ddof=1)) if finite.size > 1 else nan
    return Spread(finite.size, mean, sd)


def paired_interval(differences: Iterable[float], *, resolution: float = 0.0) -> PairedInterval:
    """Return the 95 % paired t interval of the mean difference (Student 1908); NaN differences drop their pair.

    Counts of a finite test set are whole, so a few differences may be equal by rounding alone. The t statistic would
    then be infinite. So the spread is taken to be at least the resolution, and where it had to be raised, p is at least
    that of the sign-flip test. This test needs no spread: six equal differences have p = 1/32.

    Args:
        differences: of pairs.
        resolution: sd of the rounding error in one difference. `sd` of the result is the observed one.
    """
    finite = _finite(differences)
    summary = spread(finite)
    n, mean, sd = summary.n, summary.mean, summary.sd
    if n < 2:
        return PairedInterval(n, mean, sd, nan, nan, nan)
    error = max(sd, resolution) / np.sqrt(n)
    half = float(stats.t.ppf(0.975, n - 1) * error)
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1)) if error > NO_SPREAD else 0.0
    if sd <= max(resolution, NO_SPREAD):
        p = max(p, sign_flip(finite).p)
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


def look_level(look: int) -> float:
    """Return the level at which a study may claim at its `look`-th look at the test set, from 1.

    Whoever adds seeds until a gain appears tests again and again, and each test may be false. The first look has ALPHA;
    the others share 0.01 more: 0.005, 0.0025 and so on. By Bonferroni's inequality all looks together make a false
    claim in at most 6 % of studies, 3 % on the side of a gain, for any number of looks and any seeds added.
    """
    return ALPHA if look < 2 else _SECOND_LOOK / 2 ** (look - 2)


def adjusted_verdict(
    n: int, mean: float, p: float, *, planned: int = 0, missing: int = 0, level: float = ALPHA
) -> Verdict:
    """Return what a comparison may claim. This is the one rule, for headlines, sentences and tables alike.

    - too few: fewer than MIN_PAIRS pairs are there, and no more are planned. Nothing is claimed.
    - incomplete: planned runs are missing. Nothing is claimed: who may stop at any seed may stop at a lucky one.
    - gain, loss: the adjusted p is at most `level`.
    - unclear: neither.

    Args:
        n: pairs.
        mean: of their differences.
        p: of the paired t test, adjusted for its family.
        planned: pairs that the study was to have; 0 where this is not known.
        missing: planned runs that are not there.
        level: of the family, see `look_level`.
    """
    if max(n, planned) < MIN_PAIRS:
        return "too few"
    if missing or n < planned:
        return "incomplete"
    if not p <= level:  # a p of NaN tells nothing apart
        return "unclear"
    return "gain" if mean > 0 else "loss"


def sign_flip(differences: Iterable[float]) -> SignFlip:
    """Return the two-sided sign-flip test of a mean difference of 0 (Fisher 1935).

    All 2^n sign patterns are enumerated up to 16 pairs; beyond, 20,000 seeded patterns and the observed one.
    """
    finite = _finite(differences)
    n = finite.size
    if n == 0:
        return SignFlip(nan, nan)
    if n <= _MAX_EXACT:
        signs = _all_signs(n)
        smallest = 2.0 ** (1 - n)
    else:
        drawn = np.random.default_rng(0).choice((1.0, -1.0), size=(_N_RANDOM, n))
        signs = np.vstack([np.ones(n), drawn])
        smallest = 1 / len(signs)
    sums = np.abs(signs @ finite)
    # Sums of the same numbers in another order differ by rounding, but equal patterns must count as equal.
    at_least = sums >= abs(finite.sum()) - 1e-12 * np.abs(finite).sum()
    return SignFlip(float(at_least.mean()), smallest)


@cache
def _all_signs(n: int) -> npt.NDArray[np.float64]:
    """Return all sign patterns of n pairs, of shape (2^n, n)."""
    return np.array(list(product((1.0, -1.0), repeat=n)))


def _finite(values: Iterable[float]) -> npt.NDArray[np.float64]:
    array = np.asarray(list(values), dtype=float)
    return array[np.isfinite(array)]
