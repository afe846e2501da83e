"""The ladder: every entry's accuracy by class group over seeds, and its gain over the baselines paired by seed."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.statistics import PairedInterval, SignFlip, Spread, holm, paired_interval, sign_flip, spread
from analysis.tables import Study

TEACHER = "teacher"
BEST = "best1"

#: What each baseline is, in words; gains are measured over the first.
BASELINES = {"la": "logit adjustment (la)", "kd": "logit adjustment with classic distillation (kd)"}

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

_ORDER = (TEACHER, "ce", "la", "kd", "cckd", "acckd_no_fi", "acckd")
_TERCILES = ("tercile_high", "tercile_middle", "tercile_low")


@dataclass(frozen=True)
class LadderRow:
    """One entry: `cells` maps a column of COLUMNS to its spread over seeds, `gain` is All minus la's All."""

    entry: str
    n_seeds: int
    cells: Mapping[str, Spread]
    gain: PairedInterval | None
    selected_on: str


@dataclass(frozen=True)
class Comparison:
    """One member of the primary family: `entry` minus `baseline` on All, with both tests."""

    entry: str
    baseline: str
    interval: PairedInterval
    p_holm: float
    flip: SignFlip


def scores(study: Study) -> pd.DataFrame:
    """Return test accuracies (fractions), a row an (entry, seed): entry, seed, then the columns of COLUMNS."""
    renamed = {"test_balanced_accuracy": "all"} | {f"test_{name}": name for name in ("many", "medium", "few")}
    table = study.confirm.rename(columns=renamed)[["entry", "seed", *renamed.values()]]
    recalls = class_recalls(study)
    for group in _TERCILES:
        inside = recalls[recalls["class_id"].isin(study.groups.get(group, ()))]
        means = inside.groupby(["entry", "seed"], dropna=False)["recall"].mean().rename(group)
        table = table.merge(means.reset_index(), on=["entry", "seed"], how="left")
    return table[["entry", "seed", *COLUMNS]]


def class_recalls(study: Study) -> pd.DataFrame:
    """Return classes.csv with `recall` = n_correct / n_test, NaN where no test image was seen."""
    table = study.classes.copy()
    seen = table["n_test"].where(table["n_test"] > 0).astype(float)
    table["recall"] = table["n_correct"].astype(float) / seen
    return table


def ladder(study: Study) -> tuple[LadderRow, ...]:
    """Return a row an entry: the teacher, the ladder's rungs from the lowest, then the searched entries."""
    table = scores(study)
    selected = study.confirm.groupby("entry")["selected_on"].first()
    return tuple(
        LadderRow(
            entry=entry,
            n_seeds=len(rows),
            cells={column: spread(rows[column]) for column in COLUMNS},
            gain=None if entry in ("la", TEACHER) else paired_gain(table, entry, "la"),
            selected_on=str(selected[entry]),
        )
        for entry in _in_order(table["entry"].unique().tolist())
        for rows in [table[table["entry"] == entry]]
    )


def paired_gain(table: pd.DataFrame, entry: str, baseline: str, *, column: str = "all") -> PairedInterval:
    """Return `entry` minus `baseline` over the seeds both have; `table` has entry, seed and `column`."""
    return paired_interval(paired_differences(table, entry, baseline, column=column))


def paired_differences(table: pd.DataFrame, entry: str, baseline: str, *, column: str = "all") -> pd.Series:
    """Return the differences indexed by seed; a seed only one of the two has is left out."""
    sides = [table[table["entry"] == name].set_index("seed")[column] for name in (entry, baseline)]
    left, right = sides[0].align(sides[1], join="inner")
    return (left - right).astype(float)


def primary_family(table: pd.DataFrame, *, entry: str = BEST) -> tuple[Comparison, ...]:
    """Return the comparisons that carry the report's claim, Holm-adjusted among themselves."""
    present = set(table["entry"])
    bases = [name for name in BASELINES if name in present] if entry in present else []
    differences = [paired_differences(table, entry, base) for base in bases]
    intervals = [paired_interval(values) for values in differences]
    adjusted = holm([interval.p for interval in intervals])
    return tuple(
        Comparison(entry, base, interval, p_holm, sign_flip(values))
        for base, interval, p_holm, values in zip(bases, intervals, adjusted, differences, strict=True)
    )


def training_noise(study: Study) -> float:
    """Return the pooled sd over seeds of validation balanced accuracy: how far one trial is off by chance."""
    trained = study.confirm[study.confirm["entry"] != TEACHER]
    variances = trained.groupby("entry")["val_balanced_accuracy"].var(ddof=1)
    return float(variances.mean() ** 0.5)


def _in_order(entries: list[str]) -> list[str]:
    known = [name for name in _ORDER if name in entries]
    return known + sorted(set(entries) - set(known), key=lambda name: (len(name), name))
