"""The gain of each class and of each group of classes: recall differences, paired by seed."""

from collections.abc import Callable, Sequence

import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.results.accuracies import COLUMNS, claim_basis, class_recalls, scores
from analysis.results.comparisons import paired_gain, unit_values
from analysis.results.entries import TEACHER, both_forms, entries_in_order
from study.schema import GROUPS


def class_gains(study: StudyData, *, entries: tuple[str, ...], baseline: str = "la") -> pd.DataFrame:
    """Return one row per (entry, class) on the study's own subset, largest class first.

    Columns: entry, class_id, class_name, n_train, group, n_seeds, gain, low, high (fractions of recall; the
    95 % paired t interval over seeds). Entries or a baseline without rows in `study.classes` give no rows.
    """

    def measured(of_class: pd.DataFrame, entry: str) -> tuple[float, ...]:
        gain = paired_gain(of_class, entry, baseline, column="recall")
        return gain.n, gain.mean, gain.low, gain.high

    recalls = class_recalls(study)
    usable = comparable(recalls, entries, baseline)
    return by_class(study, recalls, usable, measured, ("n_seeds", "gain", "low", "high"))


def group_gains(study: StudyData) -> pd.DataFrame:
    """Return one row per (entry, baseline, group): the difference in that column, paired as the claims are.

    Columns: entry, baseline (la and kd, also tuned where they were tuned), group (a column of accuracies.COLUMNS), n,
    gain, low, high (fractions; the 95 % paired t interval). A group without classes is left out.
    """
    table = scores(study)
    present = entries_in_order(table["entry"])
    rows = []
    for baseline in both_forms(present):
        for entry in (name for name in present if name not in (baseline, TEACHER)):
            for group in (name for name in COLUMNS if table[name].notna().any()):
                gain = paired_gain(table, entry, baseline, column=group)
                rows.append((entry, baseline, group, gain.n, gain.mean, gain.low, gain.high))
    return pd.DataFrame(rows, columns=["entry", "baseline", "group", "n", "gain", "low", "high"])


def mean_recalls(study: StudyData, *, entries: tuple[str, ...]) -> pd.DataFrame:
    """Return one row per (entry, class), largest class first: mean recall, and its sd over seeds or subsets.

    Columns: entry, class_id, class_name, n_train, n_test, group, n_seeds (runs, of all subsets), recall, sd
    (over the seeds of the study's own subset; where claims rest on subsets, over subsets).
    """

    def measured(of_class: pd.DataFrame, entry: str) -> tuple[float, ...]:
        runs = of_class[of_class["entry"] == entry]
        seen = unit_values(of_class, entry, "recall").dropna()
        return runs["n_test"].iloc[0], runs["recall"].count(), seen.mean(), seen.std(ddof=1)

    recalls = class_recalls(claim_basis(study))
    present = [entry for entry in entries if entry in set(recalls["entry"])]
    table = by_class(study, recalls, present, measured, ("n_test", "n_seeds", "recall", "sd"))
    return table[["entry", "class_id", "class_name", "n_train", "n_test", "group", "n_seeds", "recall", "sd"]]


def by_class(
    study: StudyData,
    recalls: pd.DataFrame,
    entries: Sequence[str],
    measured: Callable[[pd.DataFrame, str], tuple[float, ...]],
    names: tuple[str, ...],
) -> pd.DataFrame:
    """Return one row per (entry, class), largest class first.

    Columns: entry, class_id, class_name, n_train, group, then `names`: the numbers that `measured` returns for the rows
    of a class in `recalls` and an entry.
    """
    rows = [
        (entry, class_id, name, n_train, group_of(study, class_id), *measured(of_class, entry))
        for class_id, name, n_train in classes_in_order(recalls)
        for of_class in [recalls[recalls["class_id"] == class_id]]
        for entry in entries
    ]
    return pd.DataFrame(rows, columns=["entry", "class_id", "class_name", "n_train", "group", *names])


def comparable(recalls: pd.DataFrame, entries: tuple[str, ...], baseline: str) -> list[str]:
    """Return the entries to compare with `baseline`: both have rows, and they differ."""
    present = set(recalls["entry"])
    return [entry for entry in entries if {entry, baseline} <= present and entry != baseline]


def group_of(study: StudyData, class_id: int) -> str:
    """Return 'many', 'medium' or 'few' (empty where study.json puts the class in no group)."""
    return next((group for group in GROUPS if class_id in study.groups.get(group, ())), "")


def classes_in_order(recalls: pd.DataFrame) -> list[tuple[int, str, int]]:
    """Return (class id, name, training count), largest class first, ties by class id."""
    one_each = recalls.drop_duplicates("class_id").sort_values(["n_train", "class_id"], ascending=[False, True])
    columns = (one_each["class_id"], one_each["class_name"], one_each["n_train"])
    return [(int(i), str(name), int(n)) for i, name, n in zip(*columns, strict=True)]
