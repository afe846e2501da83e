"""What other cuts of the long tail say: gains over several cuts, beside those of the study's own."""

from dataclasses import dataclass

import pandas as pd

from analysis.reading.study_data import Study
from analysis.reading.wording import points, span
from analysis.results.class_gains import classes_in_order, comparable, group_of
from analysis.results.ladder import (
    BASELINES,
    BEST,
    TEACHER,
    by_cut,
    claims_by_cut,
    class_recalls,
    entries_in_order,
    paired_gain,
    paired_runs,
    primary_family,
    rival,
    scores_of,
)
from analysis.stats.nested_interval import Nested, nested
from analysis.stats.paired_tests import MIN_PAIRS, PairedInterval, Spread, paired_interval, spread


@dataclass(frozen=True)
class CutGain:
    """`entry` minus `baseline` on All: on the study's own cut over seeds, and over all cuts."""

    entry: str
    baseline: str
    own: PairedInterval
    cuts: Nested


def cut_gains(study: Study) -> tuple[CutGain, ...]:
    """Return every entry against la and best1 against each rival, tuned or not; none where the study has one cut."""
    if study.n_cuts < 2:
        return ()
    table, own = scores_of(study.every_cut), scores_of(study)
    entries = [entry for entry in entries_in_order(table["entry"].unique().tolist()) if entry != TEACHER]
    bases = list(dict.fromkeys(name for base in BASELINES for name in (base, rival(base, entries)) if name in entries))
    pairs = [(entry, base) for base in bases for entry in entries if entry != base and (base == "la" or entry == BEST)]
    return tuple(
        CutGain(entry, base, paired_gain(own, entry, base), nested(by_cut(paired_runs(table, entry, base))))
        for entry, base in pairs
    )


def cut_means(study: Study) -> pd.DataFrame:
    """Return a row a (baseline, cut) of best1's gain, and one over all cuts, whose data_seed is empty.

    Columns: entry, baseline, data_seed, n (seeds of a cut; cuts in the last row), gain, low, high (fractions).
    """
    rows = []
    for gain in (found for found in cut_gains(study) if found.entry == BEST):
        runs = by_cut(paired_runs(scores_of(study.every_cut), gain.entry, gain.baseline))
        found = [(cut, paired_interval(values)) for cut, values in sorted(runs.items())]
        rows += [
            (gain.entry, gain.baseline, cut, interval.n, interval.mean, interval.low, interval.high)
            for cut, interval in [*found, (None, gain.cuts.over_cuts)]
        ]
    table = pd.DataFrame(rows, columns=["entry", "baseline", "data_seed", "n", "gain", "low", "high"])
    return table.astype({"data_seed": "Int64"})


def class_gains_over_cuts(study: Study, *, entries: tuple[str, ...], baseline: str = "la") -> pd.DataFrame:
    """Return a row an (entry, class), largest class first: the gain in recall over cuts.

    Columns: entry, class_id, class_name, n_train (the same in every cut), group, n_cuts, n_runs, gain (mean of the cut
    means), low, high (95 % t interval over cuts), lowest, highest (cut means), sd_cuts, sd_seeds; fractions of recall.
    """
    recalls = class_recalls(study.every_cut)
    usable = comparable(recalls, entries, baseline)
    rows = []
    for class_id, name, n_train in classes_in_order(recalls):
        of_class = recalls[recalls["class_id"] == class_id]
        for entry in usable:
            found = nested(by_cut(paired_runs(of_class, entry, baseline, column="recall")))
            over = found.over_cuts
            head = (entry, class_id, name, n_train, group_of(study, class_id), over.n, found.n_runs)
            spreads = (found.lowest, found.highest, found.sd_cuts, found.sd_seeds)
            rows.append((*head, over.mean, over.low, over.high, *spreads))
    columns = ["entry", "class_id", "class_name", "n_train", "group", "n_cuts", "n_runs", "gain", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "lowest", "highest", "sd_cuts", "sd_seeds"])


def teacher_over_cuts(study: Study) -> Spread:
    """Return the teacher's test balanced accuracy over cuts; it is fitted anew on each."""
    table = study.every_cut.confirm
    return spread(table.loc[table["entry"] == TEACHER, "test_balanced_accuracy"])


def told_over_cuts(study: Study) -> list[str]:
    """Say what a few cuts show of the primary comparisons; nothing where claims rest on cuts, or there is only one."""
    family = [comparison.baseline for comparison in primary_family(scores_of(study))]
    gains = [gain for gain in cut_gains(study) if gain.entry == BEST and gain.baseline in family]
    if not gains or claims_by_cut(study):
        return []
    told = [
        f"{points(gain.cuts.over_cuts.mean)} points over {gain.baseline} (95 % interval over cuts "
        f"{span(gain.cuts.over_cuts)}; cut by cut {points(gain.cuts.lowest)} to {points(gain.cuts.highest)})"
        for gain in gains
    ]
    n_cuts = min(gain.cuts.over_cuts.n for gain in gains)
    return [
        f"Trained on {n_cuts} cuts of the long tail, {BEST} gains {' and '.join(told)} on average. That is "
        f"descriptive: what is said above holds for the study's own cut; a claim beyond it needs {MIN_PAIRS} cuts."
    ]
