"""The gain of each class, of classes of similar training counts, and of each group: differences paired by seed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.results.accuracies import COLUMNS, claim_basis, class_recalls, mean_rounding, scores
from analysis.results.comparisons import paired_gain, unit_values
from analysis.results.entries import TEACHER, both_forms, entries_in_order
from analysis.stats.paired_tests import adjusted_verdict, holm
from study.schema import GROUPS

#: Largest over smallest training count within a bin of classes, about.
_BIN_RATIO = 1.5


@dataclass(frozen=True)
class CountBin:
    """The classes of one group whose training counts are similar.

    Attributes:
        group: 'many', 'medium', 'few', or '' where study.json puts the classes in no group.
        n_from, n_to: smallest and largest training count of a class in it.
        class_ids: of its classes.
    """

    group: str
    n_from: int
    n_to: int
    class_ids: tuple[int, ...]


def class_gains(study: StudyData, *, entries: tuple[str, ...], baseline: str = "la") -> pd.DataFrame:
    """Return one row per (entry, class) on the study's own subset, largest class first.

    Columns: entry, class_id, class_name, n_train, group, n_seeds, gain, low, high (fractions of recall; the
    95 % paired t interval over seeds), p, p_holm, verdict (of `with_verdicts`). Entries or a baseline without rows in
    `study.classes` give no rows.
    """

    def measured(of_class: pd.DataFrame, entry: str) -> tuple[float, ...]:
        gain = paired_gain(of_class, entry, baseline, column="recall")
        return gain.n, gain.mean, gain.low, gain.high, gain.p

    recalls = class_recalls(study)
    usable = comparable(recalls, entries, baseline)
    gains = by_class(study, recalls, usable, measured, ("n_seeds", "gain", "low", "high", "p"))
    return with_verdicts(gains, pairs="n_seeds")


def with_verdicts(gains: pd.DataFrame, *, pairs: str) -> pd.DataFrame:
    """Add to gains with p of the paired t test: p_holm, adjusted over the rows of an entry, and the verdict by it.

    Args:
        gains: columns entry, gain, p, and `pairs`.
        pairs: column with the number of pairs.
    """
    adjusted = {
        index: p
        for _, rows in gains.groupby("entry")
        for index, p in zip(rows.index, holm(rows["p"].tolist()), strict=True)
    }
    table = gains.assign(p_holm=[adjusted[index] for index in gains.index])
    rows = zip(table[pairs], table["gain"], table["p_holm"], strict=True)
    return table.assign(verdict=[adjusted_verdict(int(n), gain, p) for n, gain, p in rows])


def gains_by_count(study: StudyData, *, entries: tuple[str, ...], baseline: str = "la") -> pd.DataFrame:
    """Return one row per (entry, bin of classes of similar training counts), largest counts first.

    Columns: entry, group, n_from, n_to (training counts), n_classes, n (pairs), gain (of the mean recall of the bin's
    classes), low, high (fractions; the 95 % paired t interval), p, p_holm, verdict. Paired as the claims are.
    """

    def measured(of_bin: pd.DataFrame, entry: str) -> tuple[float, ...]:
        gain = paired_gain(of_bin, entry, baseline, column="recall")
        return gain.n, gain.mean, gain.low, gain.high, gain.p

    recalls = class_recalls(claim_basis(study))
    usable = comparable(recalls, entries, baseline)
    return with_verdicts(_by_bin(study, recalls, usable, measured, ("n", "gain", "low", "high", "p")), pairs="n")


def recalls_by_count(study: StudyData, *, entries: tuple[str, ...]) -> pd.DataFrame:
    """Return one row per (entry, bin as in `gains_by_count`): mean recall of its classes, and its sd over seeds.

    Columns: entry, group, n_from, n_to, n_classes, recall, sd (fractions; over subsets where claims rest on them).
    """

    def measured(of_bin: pd.DataFrame, entry: str) -> tuple[float, ...]:
        seen = unit_values(of_bin, entry, "recall").dropna()
        return seen.mean(), seen.std(ddof=1)

    recalls = class_recalls(claim_basis(study))
    present = [entry for entry in entries if entry in set(recalls["entry"])]
    return _by_bin(study, recalls, present, measured, ("recall", "sd"))


def count_bins(counts: Sequence[int], groups: Sequence[str]) -> tuple[CountBin, ...]:
    """Return the classes in bins of similar training counts, largest counts first; no bin reaches over two groups.

    Each group is cut at equal ratios, so that the largest count of a bin is about _BIN_RATIO times its smallest.
    Classes of one count share a bin.

    Args:
        counts: training images by class id, length C.
        groups: group by class id, length C.
    """
    found = []
    for group in dict.fromkeys(groups):
        members = [class_id for class_id, name in enumerate(groups) if name == group]
        sizes = np.array([max(counts[class_id], 1) for class_id in members])
        n_bins = max(1, round(log((sizes.max() + 1) / sizes.min()) / log(_BIN_RATIO)))
        edges = np.geomspace(sizes.min(), sizes.max() + 1, n_bins + 1)
        places = np.searchsorted(edges[1:-1], sizes, side="right")
        for place in np.unique(places):
            inside = [class_id for class_id, at in zip(members, places, strict=True) if at == place]
            of_bin = [counts[class_id] for class_id in inside]
            found.append(CountBin(group, min(of_bin), max(of_bin), tuple(inside)))
    return tuple(sorted(found, key=lambda one: (-one.n_to, -one.n_from)))


def _by_bin(
    study: StudyData,
    recalls: pd.DataFrame,
    entries: Sequence[str],
    measured: Callable[[pd.DataFrame, str], tuple[float, ...]],
    names: tuple[str, ...],
) -> pd.DataFrame:
    """Return one row per (entry, bin): the bin, then `names`, which `measured` returns for mean recalls by run."""
    run = ["entry", "seed", "data_seed"]
    counts = [int(n) for n in study.manifest["data"]["n_train"]]
    rows = []
    for one in count_bins(counts, [group_of(study, class_id) for class_id in range(len(counts))]):
        inside = recalls[recalls["class_id"].isin(one.class_ids)]
        by_run = inside.groupby(run, dropna=False)
        means = by_run.agg(recall=("recall", "mean"), rounding=("rounding", mean_rounding)).reset_index()
        rows += [
            (entry, one.group, one.n_from, one.n_to, len(one.class_ids), *measured(means, entry)) for entry in entries
        ]
    return pd.DataFrame(rows, columns=["entry", "group", "n_from", "n_to", "n_classes", *names])


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
        for class_id, name, n_train, of_class in _classes(recalls)
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


def _classes(recalls: pd.DataFrame) -> Iterator[tuple[int, str, int, pd.DataFrame]]:
    """Yield (class id, name, training count, its rows), largest class first, ties by class id."""
    one_each = recalls.drop_duplicates("class_id").sort_values(["n_train", "class_id"], ascending=[False, True])
    parts = dict(list(recalls.groupby("class_id")))
    columns = (one_each["class_id"], one_each["class_name"], one_each["n_train"])
    return ((int(i), str(name), int(n), parts[i]) for i, name, n in zip(*columns, strict=True))
