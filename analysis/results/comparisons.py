"""Gains of one entry over another, paired by run, and the primary comparisons that carry the report's claim."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.results.accuracies import claims_by_subset
from analysis.results.entries import BEST, both_forms, planned_entries
from analysis.stats.paired_tests import (
    PairedInterval,
    SignFlip,
    Verdict,
    adjusted_verdict,
    holm,
    look_level,
    paired_interval,
    sign_flip,
)
from study.schema import LOOKS, look_of

#: The columns whose values `rounding` is about; `rounding_<column>` is about another.
_ROUNDED = ("all", "recall")

_NO_RUNS = pd.MultiIndex.from_arrays([[], []], names=["data_seed", "seed"])

#: A study that was begun without a confirmation, and the seeds or subsets that a later command asked for.
_WITHOUT = re.compile(r"--confirm-seeds[ =]0\b")
_MORE = re.compile(r"study[. ]confirm\b.*--(?:seeds|data-seeds)[ =]\d+")


@dataclass(frozen=True)
class ClaimTerms:
    """What the plan of a study says of its claim, before any run of the confirmation.

    Attributes:
        baselines: entries that best1 is compared with. They are the family, whichever of them have runs.
        n_pairs: pairs that each comparison is to have: seeds, or subsets where claims rest on subsets.
        n_runs: runs of each entry on these seeds and subsets.
        look: number of looks at the test set, this one included. More seeds, more subsets or another best1 are
            another look.
    """

    baselines: tuple[str, ...]
    n_pairs: int
    n_runs: int
    look: int = 1

    @property
    def level(self) -> float:
        """The level of the family at this look."""
        return look_level(self.look)


@dataclass(frozen=True)
class Comparison:
    """One member of the primary family: `entry` minus `baseline` on All, with both tests.

    Attributes:
        entry, baseline: what is compared.
        interval: paired t interval, not adjusted; its n is 0 where the baseline has no runs.
        p_holm: p of the t test, Holm-adjusted within the family; the verdict rests on it.
        flip: sign-flip test, not adjusted.
        flip_holm: p of the sign-flip test, Holm-adjusted.
        smallest_flip_holm: the smallest adjusted p that the sign-flip test can give for this family and these pairs.
        n_runs: pairs of runs behind the pairs.
        terms: of the study.
    """

    entry: str
    baseline: str
    interval: PairedInterval
    p_holm: float
    flip: SignFlip
    flip_holm: float
    smallest_flip_holm: float
    n_runs: int
    terms: ClaimTerms

    @property
    def verdict(self) -> Verdict:
        """What may be claimed, by the rule of `adjusted_verdict`."""
        return adjusted_verdict(
            self.interval.n,
            self.interval.mean,
            self.p_holm,
            planned=self.terms.n_pairs,
            missing=max(0, self.terms.n_runs - self.n_runs),
            level=self.terms.level,
        )

    @property
    def flip_can_reject(self) -> bool:
        """Whether this number of pairs lets the sign-flip test reject anything."""
        return self.smallest_flip_holm <= self.terms.level


def claim_terms(study: StudyData) -> ClaimTerms:
    """Return what the plan of a study says of its claim; a stranger's study.json may hold anything."""
    plan = study.manifest["plan"]
    seeds, subsets = (n if type(n) is int else 0 for n in (plan.get("confirm_seeds"), plan.get("data_seeds")))
    look = n_looks(study.manifest)
    if claims_by_subset(study):
        return ClaimTerms(planned_entries(plan), subsets, seeds * subsets, look)
    return ClaimTerms(planned_entries(plan), seeds, seeds, look)


def n_looks(manifest: Mapping[str, Any]) -> int:
    """Return how often a study looked at the test set, its present confirmation included; at least 1.

    study.json lists the looks. A study that an earlier version began has no list: each of its commands that asked for
    other seeds or subsets counts as a look.
    """
    looks, starts = manifest.get(LOOKS), manifest.get("starts")
    if isinstance(looks, list):
        plan, best = manifest["plan"], (manifest.get("confirm_entries") or {}).get(BEST) or {}
        return max(1, len(looks) + (look_of(plan, best.get("trial")) not in looks))
    known = (
        [str(start.get("command")) for start in starts if isinstance(start, dict)] if isinstance(starts, list) else []
    )
    asked = {found.group() for command in known[1:] if (found := _MORE.search(command))}
    return max(1, len(asked) + (not known or _WITHOUT.search(known[0]) is None))


def primary_family(table: pd.DataFrame, terms: ClaimTerms) -> tuple[Comparison, ...]:
    """Return the comparisons that carry the report's claim, Holm-adjusted among themselves.

    A baseline that is tuned at the same budget is compared as tuned. Its reference point is then descriptive.
    The family is what the plan asked for: a comparison whose pairs are not all there counts in it with p = 1, so that
    none is left out in silence. There is no family before the searched entry and any form of a baseline have runs.

    Args:
        table: of `accuracies.scores`.
        terms: of the study.
    """
    present = set(table["entry"])
    if BEST not in present or not both_forms(present):
        return ()
    return family_of(
        [paired_differences(table, BEST, base) for base in terms.baselines],
        terms,
        n_runs=[len(paired_runs(table, BEST, base)) for base in terms.baselines],
        resolutions=[resolution(table, BEST, base) for base in terms.baselines],
    )


def family_of(
    differences: Sequence[Iterable[float]], terms: ClaimTerms, *, n_runs: Sequence[int], resolutions: Sequence[float]
) -> tuple[Comparison, ...]:
    """Return the comparisons of best1 with `terms.baselines`, by its paired differences to each of them.

    Args:
        differences: of All (fractions), one sequence per baseline; empty where it has no runs.
        terms: of the study.
        n_runs: pairs of runs behind the differences.
        resolutions: sd of the rounding error in one difference, see `paired_interval`.
    """
    values = [list(pairs) for pairs in differences]
    intervals = [paired_interval(pairs, resolution=one) for pairs, one in zip(values, resolutions, strict=True)]
    flips = [sign_flip(pairs) for pairs in values]
    adjusted, flips_adjusted = (
        holm([p if n >= max(terms.n_runs, 2) else 1.0 for p, n in zip(p_values, n_runs, strict=True)])
        for p_values in ([interval.p for interval in intervals], [flip.p for flip in flips])
    )
    return tuple(
        Comparison(BEST, base, interval, p, flip, flip_p, min(1.0, len(values) * flip.smallest_p), n, terms)
        for base, interval, p, flip, flip_p, n in zip(
            terms.baselines, intervals, adjusted, flips, flips_adjusted, n_runs, strict=True
        )
    )


def pair_gains(table: pd.DataFrame, baselines: Sequence[str]) -> pd.DataFrame:
    """Return best1's gain over each of `baselines`, pair by pair; a baseline without pairs has one row without a gain.

    Columns: baseline, pair (seed, in a table of several subsets the subset), gain, then n, mean, low and high of the
    paired t interval of its baseline (fractions of All).
    """
    rows = []
    for baseline in baselines:
        interval = paired_gain(table, BEST, baseline)
        common = {part: getattr(interval, part) for part in ("n", "mean", "low", "high")}
        pairs = paired_differences(table, BEST, baseline).items() if interval.n else [(None, nan)]
        rows += [{"baseline": baseline, "pair": pair, "gain": gain} | common for pair, gain in pairs]
    return pd.DataFrame(rows).astype({"pair": "Int64"})


def paired_gain(table: pd.DataFrame, entry: str, baseline: str, *, column: str = "all") -> PairedInterval:
    """Return the interval of `entry` minus `baseline` over the pairs of `paired_differences`.

    Its resolution is that of the test counts, where `table` has `rounding` for this column.
    """
    differences = paired_differences(table, entry, baseline, column=column)
    return paired_interval(differences, resolution=resolution(table, entry, baseline, column=column))


def resolution(table: pd.DataFrame, entry: str, baseline: str, *, column: str = "all") -> float:
    """Return the sd of the rounding error in the difference of two runs; 0 where `table` does not know it."""
    rounding = "rounding" if column in _ROUNDED else f"rounding_{column}"
    if rounding not in table:
        return 0.0
    squares = [float((table.loc[table["entry"] == name, rounding] ** 2).mean()) for name in (entry, baseline)]
    return sum(square for square in squares if square == square) ** 0.5


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
    names, values = table["entry"].to_numpy(), table[column].to_numpy(dtype=float)
    runs = list(zip(table["data_seed"], table["seed"], strict=True))
    left, right = ({runs[row]: values[row] for row in np.flatnonzero(names == name)} for name in (entry, baseline))
    shared = [run for run in left if run in right]
    index = pd.MultiIndex.from_tuples(shared, names=["data_seed", "seed"]) if shared else _NO_RUNS
    return pd.Series([left[run] - right[run] for run in shared], index=index, name=column, dtype=float)


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
