"""Gains over several subsets of the long tail, beside the gains on the study's own subset."""

from dataclasses import dataclass

import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.reading.wording import points, span
from analysis.results.accuracies import claims_by_subset, class_recalls, scores_of
from analysis.results.class_gains import by_class, comparable, with_verdicts
from analysis.results.comparisons import by_subset, claim_terms, paired_gain, paired_runs
from analysis.results.entries import BEST, TEACHER, both_forms, entries_in_order
from analysis.stats.nested_interval import NestedInterval, nested_interval
from analysis.stats.paired_tests import MIN_PAIRS, PairedInterval, Spread, paired_interval, spread


@dataclass(frozen=True)
class SubsetGain:
    """`entry` minus `baseline` on All: on the study's own subset over seeds, and over all subsets."""

    entry: str
    baseline: str
    own: PairedInterval
    subsets: NestedInterval


def subset_gains(study: StudyData) -> tuple[SubsetGain, ...]:
    """Return every entry against la, and best1 against each baseline, tuned or not; none with one subset only."""
    if study.n_subsets < 2:
        return ()
    table, own = scores_of(study.every_subset), scores_of(study)
    entries = [entry for entry in entries_in_order(table["entry"]) if entry != TEACHER]
    pairs = [
        (entry, base)
        for base in both_forms(entries)
        for entry in entries
        if entry != base and (base == "la" or entry == BEST)
    ]
    return tuple(
        SubsetGain(
            entry, base, paired_gain(own, entry, base), nested_interval(by_subset(paired_runs(table, entry, base)))
        )
        for entry, base in pairs
    )


def subset_means(study: StudyData) -> pd.DataFrame:
    """Return one row per (baseline, subset) of best1's gain, and one over all subsets, whose data_seed is empty.

    Columns: entry, baseline, data_seed, n (seeds of the subset; in the last row subsets), gain, low, high (fractions).
    """
    rows = []
    for gain in (found for found in subset_gains(study) if found.entry == BEST):
        runs = by_subset(paired_runs(scores_of(study.every_subset), gain.entry, gain.baseline))
        found = [(subset, paired_interval(values)) for subset, values in sorted(runs.items())]
        rows += [
            (gain.entry, gain.baseline, subset, interval.n, interval.mean, interval.low, interval.high)
            for subset, interval in [*found, (None, gain.subsets.over_subsets)]
        ]
    table = pd.DataFrame(rows, columns=["entry", "baseline", "data_seed", "n", "gain", "low", "high"])
    return table.astype({"data_seed": "Int64"})


def class_gains_over_subsets(study: StudyData, *, entries: tuple[str, ...], baseline: str = "la") -> pd.DataFrame:
    """Return one row per (entry, class), largest class first: the gain in recall over subsets.

    Columns: entry, class_id, class_name, n_train (the same in every subset), group, n_cuts, n_runs, gain (mean of the
    subset means), low, high (95 % t interval over subsets), p, lowest, highest (subset means), sd_cuts, sd_seeds;
    p_holm, verdict; fractions of recall. n_cuts counts subsets, sd_cuts is the variance component between them.
    """

    def measured(of_class: pd.DataFrame, entry: str) -> tuple[float, ...]:
        found = nested_interval(by_subset(paired_runs(of_class, entry, baseline, column="recall")))
        over, spreads = found.over_subsets, (found.lowest, found.highest, found.sd_subsets, found.sd_seeds)
        return over.n, found.n_runs, over.mean, over.low, over.high, over.p, *spreads

    recalls = class_recalls(study.every_subset)
    names = ("n_cuts", "n_runs", "gain", "low", "high", "p", "lowest", "highest", "sd_cuts", "sd_seeds")
    gains = by_class(study, recalls, comparable(recalls, entries, baseline), measured, names)
    return with_verdicts(gains, pairs="n_cuts")


def teacher_over_subsets(study: StudyData) -> Spread:
    """Return the teacher's test balanced accuracy over subsets; the teacher is fitted anew on each."""
    table = study.every_subset.confirm
    return spread(table.loc[table["entry"] == TEACHER, "test_balanced_accuracy"])


def subset_sentences(study: StudyData) -> list[str]:
    """Say what a few subsets show of the primary comparisons; nothing where claims rest on them."""
    family = claim_terms(study).baselines
    gains = [gain for gain in subset_gains(study) if gain.entry == BEST and gain.baseline in family]
    if not gains or claims_by_subset(study):
        return []
    gains_text = [
        f"{points(gain.subsets.over_subsets.mean)} points to {gain.baseline} (95 % interval over subsets "
        f"{span(gain.subsets.over_subsets)}; by subset {points(gain.subsets.lowest)} to {points(gain.subsets.highest)})"
        for gain in gains
    ]
    n_subsets = min(gain.subsets.over_subsets.n for gain in gains)
    return [
        f"Trained on {n_subsets} subsets of the long tail, {BEST} differs by {' and '.join(gains_text)} on average. "
        f"This is not tested: the claims above hold for the study's own subset. A claim beyond it needs {MIN_PAIRS} "
        "subsets."
    ]
