"""Gains of one entry over another, paired by run, and the primary comparisons that carry the report's claim."""

from dataclasses import dataclass

import pandas as pd

from analysis.results.entries import BEST, compared_entries
from analysis.stats.paired_tests import (
    ALPHA,
    PairedInterval,
    SignFlip,
    Verdict,
    adjusted_verdict,
    holm,
    paired_interval,
    sign_flip,
)


@dataclass(frozen=True)
class Comparison:
    """One member of the primary family: `entry` minus `baseline` on All, with both tests.

    Attributes:
        entry, baseline: what is compared.
        interval: paired t interval, not adjusted.
        p_holm: p of the t test, Holm-adjusted within the family; the verdict rests on it.
        flip: sign-flip test, not adjusted.
        flip_holm: p of the sign-flip test, Holm-adjusted.
        smallest_flip_holm: the smallest adjusted p that the sign-flip test can give for this family and these pairs.
    """

    entry: str
    baseline: str
    interval: PairedInterval
    p_holm: float
    flip: SignFlip
    flip_holm: float
    smallest_flip_holm: float

    @property
    def verdict(self) -> Verdict:
        """What the adjusted p says, by the rule of `adjusted_verdict`."""
        return adjusted_verdict(self.interval.n, self.interval.mean, self.p_holm)

    @property
    def flip_can_reject(self) -> bool:
        """Whether this number of pairs lets the sign-flip test reject anything."""
        return self.smallest_flip_holm <= ALPHA


def primary_family(table: pd.DataFrame) -> tuple[Comparison, ...]:
    """Return the comparisons that carry the report's claim, Holm-adjusted among themselves.

    A baseline that was tuned at the same budget is compared as tuned. Its reference point is then descriptive.
    """
    present = set(table["entry"])
    bases = compared_entries(present) if BEST in present else ()
    differences = [paired_differences(table, BEST, base) for base in bases]
    intervals = [paired_interval(values) for values in differences]
    flips = [sign_flip(values) for values in differences]
    adjusted = holm([interval.p for interval in intervals])
    flips_adjusted = holm([flip.p for flip in flips])
    return tuple(
        Comparison(BEST, *found, min(1.0, len(bases) * found[3].smallest_p))
        for found in zip(bases, intervals, adjusted, flips, flips_adjusted, strict=True)
    )


def paired_gain(table: pd.DataFrame, entry: str, baseline: str, *, column: str = "all") -> PairedInterval:
    """Return the interval of `entry` minus `baseline` over the pairs of `paired_differences`."""
    return paired_interval(paired_differences(table, entry, baseline, column=column))


def paired_differences(table: pd.DataFrame, entry: str, baseline: str, *, column: str = "all") -> pd.Series:
    """Return the differences indexed by seed; in a table of several subsets one mean per subset, indexed by subset.

    `table` has entry, seed, data_seed and `column`. A (subset, seed) that only one of the two entries has is left out.
    """
    differences = paired_runs(table, entry, baseline, column=column)
    if _has_subsets(table):
        return differences.groupby(level="data_seed").mean()
    return differences.droplevel("data_seed")


def paired_runs(table: pd.DataFrame, entry: str, baseline: str, *, column: str = "all") -> pd.Series:
    """Return the difference of every pair of runs, indexed by (data_seed, seed)."""
    run = ["data_seed", "seed"]
    sides = [table[table["entry"] == name].set_index(run)[column] for name in (entry, baseline)]
    left, right = sides[0].align(sides[1], join="inner")
    return (left - right).astype(float)


def by_subset(differences: pd.Series) -> dict[int, list[float]]:
    """Return the result of `paired_runs` as subset -> its differences."""
    subsets = differences.index.get_level_values("data_seed")
    return {int(subset): differences[subsets == subset].tolist() for subset in subsets.unique()}


def unit_values(table: pd.DataFrame, entry: str, column: str = "all") -> pd.Series:
    """Return one value of `column` per seed of an entry; in a table of several subsets one mean per subset."""
    rows = table[table["entry"] == entry]
    return rows.groupby("data_seed")[column].mean() if _has_subsets(table) else rows[column]


def _has_subsets(table: pd.DataFrame) -> bool:
    return bool(table["data_seed"].nunique() > 1)
