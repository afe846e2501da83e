"""The ladder: every entry's accuracy by class group over seeds, and its gain over the baselines paired by seed."""

from collections.abc import Container, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.reading.study_data import Study
from analysis.stats.paired_tests import (
    ALPHA,
    MIN_PAIRS,
    PairedInterval,
    SignFlip,
    Spread,
    Verdict,
    holm,
    paired_interval,
    sign_flip,
    spread,
)
from study.schema import TUNED_SUFFIX
from trainables.cckd.methods import LADDER

TEACHER = "teacher"
BEST = "best1"
LA_TUNED = "la" + TUNED_SUFFIX

#: What each baseline is, in words; gains are measured over the first.
BASELINES = {"la": "logit adjustment", "kd": "logit adjustment with classic distillation"}

#: Column of `scores` -> heading. 'all' is the balanced accuracy, the rest are means over a group of classes.
COLUMNS = {
    "many": "Many",
    "medium": "Medium",
    "few": "Few",
    "all": "All",
    "tercile_high": "High third",
    "tercile_middle": "Middle third",
    "tercile_low": "Low third",
}

_ORDER = (TEACHER, *(name for rung in LADDER for name in (rung, rung + TUNED_SUFFIX)))
_TERCILES = ("tercile_high", "tercile_middle", "tercile_low")


@dataclass(frozen=True)
class LadderRow:
    """One entry: `cells` maps a column of COLUMNS to its spread, `gain` is All minus la's All.

    `gain_tuned` is All minus that of la_tuned, where la was tuned too. All are over the seeds of the study's own cut;
    where claims rest on cuts, over cuts. `n_seeds` counts those of the cut that has most.
    """

    entry: str
    n_cuts: int
    n_seeds: int
    cells: Mapping[str, Spread]
    gain: PairedInterval | None
    gain_tuned: PairedInterval | None
    selected_on: str


@dataclass(frozen=True)
class Comparison:
    """One member of the primary family: `entry` minus `baseline` on All, with both tests.

    Attributes:
        entry, baseline: what is compared.
        interval: paired t interval, not adjusted.
        p_holm: its p, Holm-adjusted within the family; the verdict rests on it.
        flip: sign-flip test, not adjusted.
        flip_holm: its p, Holm-adjusted.
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
        """'gain' or 'loss' where the adjusted p is at most ALPHA, 'too few' below MIN_PAIRS pairs, else 'unclear'."""
        if self.interval.n < MIN_PAIRS:
            return "too few"
        if self.p_holm > ALPHA:
            return "unclear"
        return "gain" if self.interval.mean > 0 else "loss"

    @property
    def flip_can_reject(self) -> bool:
        """Whether so many pairs let the sign-flip test say anything at all."""
        return self.smallest_flip_holm <= ALPHA


def claims_by_cut(study: Study) -> bool:
    """Whether the report's claims rest on cuts of the long tail: on MIN_PAIRS of them the family's entries were run.

    With fewer, claims stay conditional on the study's own cut, and what other cuts say is descriptive.
    """
    table = study.confirm_cuts
    present = set(table["entry"])
    family = [name for name in (BEST, *rivals(present)) if name in present]
    shared = [set(table.loc[table["entry"] == name, "data_seed"]) for name in family]
    return family[:1] == [BEST] and len(family) > 1 and len(set.intersection(*shared)) >= MIN_PAIRS


def claimed(study: Study) -> Study:
    """Return the study with the rows that claims rest on: every cut's, or those of its own cut."""
    return study.every_cut if claims_by_cut(study) else study


def scores(study: Study) -> pd.DataFrame:
    """Return the test accuracies that claims rest on (fractions): entry, seed, data_seed, the columns of COLUMNS."""
    return scores_of(claimed(study))


def scores_of(study: Study) -> pd.DataFrame:
    """Return test accuracies (fractions), a row a run in `study.confirm`: columns as `scores`."""
    renamed = {"test_balanced_accuracy": "all"} | {f"test_{name}": name for name in ("many", "medium", "few")}
    run = ["entry", "seed", "data_seed"]
    table = study.confirm.rename(columns=renamed)[[*run, *renamed.values()]]
    recalls = class_recalls(study)
    for group in _TERCILES:
        inside = recalls[recalls["class_id"].isin(study.groups.get(group, ()))]
        means = inside.groupby(run, dropna=False)["recall"].mean().rename(group)
        table = table.merge(means.reset_index(), on=run, how="left")
    return table[[*run, *COLUMNS]]


def class_recalls(study: Study) -> pd.DataFrame:
    """Return `study.classes` with `recall` = n_correct / n_test, NaN where no test image was seen."""
    table = study.classes.copy()
    seen = table["n_test"].where(table["n_test"] > 0).astype(float)
    table["recall"] = table["n_correct"].astype(float) / seen
    return table


def ladder(study: Study) -> tuple[LadderRow, ...]:
    """Return a row an entry: the teacher, the ladder's rungs from the lowest, then the searched entries."""
    table = scores(study)
    selected = study.confirm.groupby("entry")["selected_on"].first()
    tuned = LA_TUNED in set(table["entry"])
    return tuple(
        LadderRow(
            entry=entry,
            n_cuts=rows["data_seed"].nunique(),
            n_seeds=int(rows["data_seed"].value_counts().max()),
            cells={column: spread(unit_values(table, entry, column)) for column in COLUMNS},
            gain=None if entry in ("la", TEACHER) else paired_gain(table, entry, "la"),
            gain_tuned=None if entry in (LA_TUNED, TEACHER) or not tuned else paired_gain(table, entry, LA_TUNED),
            selected_on=str(selected[entry]),
        )
        for entry in entries_in_order(table["entry"].unique().tolist())
        for rows in [table[table["entry"] == entry]]
    )


def paired_gain(table: pd.DataFrame, entry: str, baseline: str, *, column: str = "all") -> PairedInterval:
    """Return `entry` minus `baseline` over what `paired_differences` pairs."""
    return paired_interval(paired_differences(table, entry, baseline, column=column))


def paired_differences(table: pd.DataFrame, entry: str, baseline: str, *, column: str = "all") -> pd.Series:
    """Return the differences indexed by seed; in a table of several cuts the mean of each cut, indexed by cut.

    `table` has entry, seed, data_seed and `column`. A (cut, seed) that only one of the two has is left out.
    """
    differences = paired_runs(table, entry, baseline, column=column)
    if _has_cuts(table):
        return differences.groupby(level="data_seed").mean()
    return differences.droplevel("data_seed")


def paired_runs(table: pd.DataFrame, entry: str, baseline: str, *, column: str = "all") -> pd.Series:
    """Return the difference of every pair of runs, indexed by (data_seed, seed)."""
    run = ["data_seed", "seed"]
    sides = [table[table["entry"] == name].set_index(run)[column] for name in (entry, baseline)]
    left, right = sides[0].align(sides[1], join="inner")
    return (left - right).astype(float)


def by_cut(differences: pd.Series) -> dict[int, list[float]]:
    """Return what `paired_runs` gives as cut -> its differences."""
    cuts = differences.index.get_level_values("data_seed")
    return {int(cut): differences[cuts == cut].tolist() for cut in cuts.unique()}


def unit_values(table: pd.DataFrame, entry: str, column: str = "all") -> pd.Series:
    """Return `column` of an entry a seed; in a table of several cuts its mean a cut."""
    rows = table[table["entry"] == entry]
    return rows.groupby("data_seed")[column].mean() if _has_cuts(table) else rows[column]


def primary_family(table: pd.DataFrame) -> tuple[Comparison, ...]:
    """Return the comparisons that carry the report's claim, Holm-adjusted among themselves.

    A baseline that was tuned at the same budget is there as tuned; at its reference point it is descriptive.
    """
    present = set(table["entry"])
    bases = rivals(present) if BEST in present else ()
    differences = [paired_differences(table, BEST, base) for base in bases]
    intervals = [paired_interval(values) for values in differences]
    flips = [sign_flip(values) for values in differences]
    adjusted = holm([interval.p for interval in intervals])
    flips_adjusted = holm([flip.p for flip in flips])
    return tuple(
        Comparison(BEST, *found, min(1.0, len(bases) * found[3].smallest_p))
        for found in zip(bases, intervals, adjusted, flips, flips_adjusted, strict=True)
    )


def rival(baseline: str, present: Container[str]) -> str:
    """Return the entry that stands for a baseline: its tuned one where that is among those present, else itself."""
    return baseline + TUNED_SUFFIX if baseline + TUNED_SUFFIX in present else baseline


def rivals(present: Container[str]) -> tuple[str, ...]:
    """Return those of `present` that the claim is about, one for each of BASELINES."""
    return tuple(name for name in (rival(baseline, present) for baseline in BASELINES) if name in present)


def rival_in_words(entry: str) -> str:
    """Return e.g. 'logit adjustment (la)' or 'tuned logit adjustment (la_tuned)'."""
    baseline = entry.removesuffix(TUNED_SUFFIX)
    return f"{'tuned ' * (entry != baseline)}{BASELINES[baseline]} ({entry})"


def training_noise(study: Study) -> float:
    """Return the pooled sd over seeds of validation balanced accuracy: how far one trial is off by chance."""
    trained = study.confirm[study.confirm["entry"] != TEACHER]
    variances = trained.groupby("entry")["val_balanced_accuracy"].var(ddof=1)
    return float(variances.mean() ** 0.5)


def noise_degrees(study: Study) -> int:
    """Return the degrees of freedom behind `training_noise`: its runs less one for each entry with two or more."""
    trained = study.confirm[study.confirm["entry"] != TEACHER]
    runs = trained.groupby("entry")["val_balanced_accuracy"].count()
    return int((runs[runs > 1] - 1).sum())


def _has_cuts(table: pd.DataFrame) -> bool:
    return bool(table["data_seed"].nunique() > 1)


def entries_in_order(entries: list[str]) -> list[str]:
    """The teacher, the ladder's rungs from the lowest, then the searched entries."""
    known = [name for name in _ORDER if name in entries]
    return known + sorted(set(entries) - set(known), key=lambda name: (len(name), name))
