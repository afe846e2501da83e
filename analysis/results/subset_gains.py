"""Gains over several subsets of the long tail, beside the gains on the study's own subset."""

from dataclasses import dataclass

import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.reading.wording import bounds, plural, points
from analysis.results.accuracies import claims_by_subset, class_recalls, scores_of
from analysis.results.class_gains import by_class, comparable, with_verdicts
from analysis.results.comparisons import by_subset, claim_terms, paired_gain, paired_runs, resolution
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
        SubsetGain(entry, base, paired_gain(own, entry, base), _nested(table, entry, base)) for entry, base in pairs
    )


def _nested(table: pd.DataFrame, entry: str, baseline: str, *, column: str = "all") -> NestedInterval:
    """Return `entry` minus `baseline` over the subsets of `table`, with the resolution of its test counts."""
    runs = by_subset(paired_runs(table, entry, baseline, column=column))
    return nested_interval(runs, resolution=resolution(table, entry, baseline, column=column))


def subset_means(study: StudyData) -> pd.DataFrame:
    """Return one row per (baseline, subset) of best1's gain, and one over all subsets, whose data_seed is empty.

    Columns: entry, baseline, data_seed, n (seeds of the subset; in the last row subsets), gain, low, high (fractions).
    """
    table, rows = scores_of(study.every_subset), []
    for gain in (found for found in subset_gains(study) if found.entry == BEST):
        runs, least = by_subset(paired_runs(table, BEST, gain.baseline)), resolution(table, BEST, gain.baseline)
        found = [(subset, paired_interval(values, resolution=least)) for subset, values in sorted(runs.items())]
        rows += [
            (gain.entry, gain.baseline, subset, interval.n, interval.mean, interval.low, interval.high)
            for subset, interval in [*found, (None, gain.subsets.over_subsets)]
        ]
    columns = ["entry", "baseline", "data_seed", "n", "gain", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype({"data_seed": "Int64"})


def class_gains_over_subsets(study: StudyData, *, entries: tuple[str, ...], baseline: str = "la") -> pd.DataFrame:
    """Return one row per (entry, class), largest class first: the gain in recall over subsets.

    Columns: entry, class_id, class_name, n_train (the same in every subset), group, n_cuts, n_runs, gain (mean of the
    subset means), low, high (95 % t interval over subsets), p, lowest, highest (subset means), sd_cuts, sd_seeds;
    p_holm, verdict; fractions of recall. n_cuts counts subsets, sd_cuts is the variance component between them.
    """

    def measured(of_class: pd.DataFrame, entry: str) -> tuple[float, ...]:
        found = _nested(of_class, entry, baseline, column="recall")
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
    gains_text = " and ".join(_subsets_text(gain.baseline, gain.subsets) for gain in gains)
    return [
        f"On several subsets of the long tail, {BEST} has these mean differences: {gains_text}. This is not tested: "
        f"the claims above hold for the study's own subset. A claim beyond it needs {MIN_PAIRS} subsets."
    ]


def _subsets_text(baseline: str, found: NestedInterval) -> str:
    over = found.over_subsets
    each = f"by subset {points(found.lowest)} to {points(found.highest)})"
    said = f"{points(over.mean)} points to {baseline} over {plural(over.n, 'subset')}"
    return f"{said} {bounds(over).removesuffix(')')}; {each}"
