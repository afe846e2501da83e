"""Test accuracies of every run of the confirmation, and which of these runs the report's claims rest on."""

import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.reading.wording import GROUP_HEADINGS
from analysis.results.entries import BEST, TEACHER, compared_entries
from analysis.stats.paired_tests import MIN_PAIRS, spread
from analysis.stats.pooled_interval import pooled_sd
from trainables.cckd.confidence import N_BINS

_TERCILES = {"tercile_high": "High third", "tercile_middle": "Middle third", "tercile_low": "Low third"}

#: Columns that hold no mean recall: heading, and what it is.
_OTHERS = {
    "worst": ("Worst", "the smallest recall of a class"),
    "harmonic": ("Harmonic", "the harmonic mean of all recalls"),
    "ece": ("ECE", f"the expected calibration error over {N_BINS} bins of confidence, where less is better"),
}

#: Column of `scores` -> heading. 'all' is the balanced accuracy; groups and thirds are means over their classes.
COLUMNS = {**GROUP_HEADINGS, "all": "All", **_TERCILES, **{name: heading for name, (heading, _) in _OTHERS.items()}}

#: Columns that are means over a part of the classes.
_GROUPS = (*GROUP_HEADINGS, *_TERCILES)

#: What the columns are whose headings do not say it.
OTHERS_TEXT = ". ".join(f"{heading} is {text}" for heading, text in _OTHERS.values())

_RUN = ["entry", "seed", "data_seed"]


def claims_by_subset(study: StudyData) -> bool:
    """Return whether the claims rest on subsets of the long tail: the compared entries share MIN_PAIRS of them.

    With fewer subsets the claims stay conditional on the study's own subset, and the others are descriptive.
    """
    return study.once(_claims_by_subset)


def _claims_by_subset(study: StudyData) -> bool:
    table = counted_runs(study.every_subset)
    present = set(table["entry"])
    family = [name for name in (BEST, *compared_entries(present)) if name in present]
    shared = [set(table.loc[table["entry"] == name, "data_seed"]) for name in family]
    return family[:1] == [BEST] and len(family) > 1 and len(set.intersection(*shared)) >= MIN_PAIRS


def claim_basis(study: StudyData) -> StudyData:
    """Return the study with the rows that claims rest on: all subsets, or the study's own subset."""
    return study.every_subset if claims_by_subset(study) else study


def scores(study: StudyData) -> pd.DataFrame:
    """Return the test accuracies that claims rest on, with the columns of `scores_of`."""
    return scores_of(claim_basis(study))


def counted_runs(study: StudyData) -> pd.DataFrame:
    """Return the runs that means, gains and tests count: `study.confirm`, then its diverged runs at chance."""
    return joined(study.confirm, study.diverged)


def joined(finished: pd.DataFrame, diverged: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `finished`, then those of `diverged`, which has the same columns and may be empty."""
    return pd.concat([finished, diverged], ignore_index=True) if len(diverged) else finished


def scores_of(study: StudyData) -> pd.DataFrame:
    """Return test accuracies (fractions), one row per counted run of `study`.

    Columns: entry, seed, data_seed, COLUMNS, and for each mean recall the sd that rounding to whole images gives it:
    `rounding` of All, `rounding_<column>` of a group or a third of the classes.
    """
    return study.once(_scores_of)


def _scores_of(study: StudyData) -> pd.DataFrame:
    renamed = {"test_balanced_accuracy": "all"} | {f"test_{name}": name for name in (*GROUP_HEADINGS, *_OTHERS)}
    table = counted_runs(study).rename(columns=renamed)[[*_RUN, *renamed.values()]]
    recalls = class_recalls(study)
    inside = {group: recalls[recalls["class_id"].isin(study.groups.get(group, ()))] for group in _GROUPS}
    for group in _TERCILES:
        means = inside[group].groupby(_RUN, dropna=False)["recall"].mean().rename(group)
        table = table.merge(means.reset_index(), on=_RUN, how="left")
    roundings = {"rounding": recalls} | {f"rounding_{group}": rows for group, rows in inside.items()}
    for name, rows in roundings.items():
        rounding = rows.groupby(_RUN, dropna=False)["rounding"].agg(mean_rounding).rename(name)
        table = table.merge(rounding.reset_index(), on=_RUN, how="left")
    return table[[*_RUN, *COLUMNS, *roundings]]


def class_recalls(study: StudyData) -> pd.DataFrame:
    """Return `study.classes`, then the diverged runs at chance, with two columns more (fractions).

    `recall` is n_correct / n_test, NaN where a class has no test image. `rounding` is the sd of a uniform error of one
    image in it: counts are whole, so recalls that differ by less cannot be told apart.
    """
    return study.once(_class_recalls)


def _class_recalls(study: StudyData) -> pd.DataFrame:
    table = joined(study.classes, _classes_at_chance(study))
    seen = table["n_test"].where(table["n_test"] > 0).astype(float)
    return table.assign(recall=table["n_correct"].astype(float) / seen, rounding=12**-0.5 / seen)


def mean_rounding(rounding: pd.Series) -> float:
    """Return the sd of rounding of the mean of recalls that have these sds of rounding, each rounded by itself."""
    known = rounding.dropna()
    return float((known**2).sum() ** 0.5 / max(1, len(known)))


def _classes_at_chance(study: StudyData) -> pd.DataFrame:
    """Return one row per (diverged run, class), with the columns of `study.classes`."""
    columns = ["class_id", "class_name", "n_train", "n_test"]
    classes = study.classes.drop_duplicates("class_id")[columns]
    runs = study.diverged[[*_RUN, "epochs_factor"]].merge(classes, how="cross")
    return runs.assign(n_correct=runs["n_test"] / max(1, len(classes)))[list(study.classes.columns)]


def training_noise(study: StudyData) -> float:
    """Return the sd over seeds of validation balanced accuracy (a fraction): the chance in one trial's value.

    It is pooled over the entries of the confirmation, the baselines among them. Diverged runs are no chance of training
    and stay out. NaN where no entry has two runs.
    """
    trained = study.confirm[study.confirm["entry"] != TEACHER]
    return pooled_sd(spread(runs["val_balanced_accuracy"]) for _, runs in trained.groupby("entry"))[0]
