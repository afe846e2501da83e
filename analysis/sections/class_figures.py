"""Gains and recalls by class as figures: by name, by rank, or by training count, as the number of classes allows."""

from collections.abc import Callable
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.class_counts import draw_gains_by_count, draw_recalls_by_count
from analysis.figures.classes import draw_gains, draw_recalls
from analysis.figures.ranked_classes import APART, draw_ranked_gains, draw_ranked_recalls, labelled
from analysis.page.document import Block
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import gain_text, isolated, listing, points
from analysis.results.accuracies import claims_by_subset
from analysis.results.class_gains import class_gains, gains_by_count, mean_recalls, recalls_by_count
from analysis.results.entries import BEST, TEACHER, baseline_text
from analysis.results.subset_gains import class_gains_over_subsets
from analysis.sections.class_errors import BASELINE
from analysis.stats.paired_tests import MIN_PAIRS

#: The most classes with a place and a name each in a figure, and the most with a place each.
MOST_NAMED, MOST_RANKED = 30, 200

#: Of more than MOST_RANKED classes the table has so many with the largest gains, and as many with the smallest.
_EXTREMES = 8


def gain_blocks(study: StudyData, entries: tuple[str, ...], baseline: str, writer: Writer) -> list[Block]:
    """Return the figure of the gains by class over one baseline; for very many classes by training count, and a table.

    Every class has a row in the CSV in either case.
    """
    gains_of = class_gains_over_subsets if claims_by_subset(study) else class_gains
    gains = gains_of(study, entries=entries, baseline=baseline)
    if gains.empty:
        return []
    name = "class_gains" if baseline == BASELINE else f"class_gains_{baseline}"
    counts = _verdict_counts(gains)
    averaged = f"A point is the mean over {averaged_over(study)} with its 95 % paired t interval.{_reach(gains)}"
    if gains["class_id"].nunique() <= MOST_RANKED:
        figure, look = _drawn(gains, baseline)
        return [
            writer.picture(
                name,
                figure,
                gains,
                alt=f"Difference in test recall to {baseline} for each class, by number of training images. {counts} "
                f"{_ends(gains)}",
                caption=f"Difference in test recall to {baseline_text(baseline)} per class. {averaged} {counts} {look}"
                "The intervals themselves are not corrected.",
            )
        ]
    binned = gains_by_count(study, entries=entries, baseline=baseline)
    return [
        writer.picture(
            name.replace("class_gains", "class_gains_by_count"),
            partial(draw_gains_by_count, _in_reach(binned), baseline=baseline),
            binned,
            alt=f"Difference in mean test recall to {baseline} of classes of similar training counts. {counts} "
            f"{_ends(gains)}",
            caption=f"Difference in test recall to {baseline_text(baseline)}. Each point stands for the classes of "
            f"one group whose training counts are similar; below is their number. {averaged} {counts}",
        ),
        _extremes(gains, name, baseline, writer),
    ]


def _drawn(gains: pd.DataFrame, baseline: str) -> tuple[Callable[[], Figure], str]:
    """Return what draws a place for every class, and what its caption says of its marks."""
    gains = _in_reach(gains)
    if gains["class_id"].nunique() <= MOST_NAMED:
        return partial(draw_gains, gains, baseline=baseline), ""
    look = ""
    if gains["verdict"].isin(APART).any():
        named = sum(len(labelled(rows, verdict)) for _, rows in gains.groupby("entry") for verdict in APART)
        n_apart = int(gains["verdict"].isin(APART).sum())
        which = "Named are" if named == n_apart else "Named are those farthest from 0 of"
        look = f"{which} the classes that are told apart; hollow points are not. "
    return partial(draw_ranked_gains, gains, baseline=baseline), look


def _in_reach(gains: pd.DataFrame) -> pd.DataFrame:
    """Return gains whose intervals end where recalls can: two seeds give intervals of hundreds of points."""
    return gains.assign(low=gains["low"].clip(lower=-1.0), high=gains["high"].clip(upper=1.0))


def _reach(gains: pd.DataFrame) -> str:
    beyond = (gains["low"] < -1) | (gains["high"] > 1)
    return " Intervals are drawn to 100 points, the most that a recall can change." if beyond.any() else ""


def _verdict_counts(gains: pd.DataFrame) -> str:
    """Say how many classes gain, lose, and are not told apart, for each entry."""
    n_classes = gains["class_id"].nunique()
    if (gains["verdict"] == "too few").all():
        return f"No class is told apart: that takes {MIN_PAIRS} pairs of runs."
    said = []
    for entry, rows in gains.groupby("entry", sort=False):
        gain, loss = (int((rows["verdict"] == verdict).sum()) for verdict in APART)
        said.append(f"{entry} gains in {gain}, loses in {loss}, and is not told apart in {len(rows) - gain - loss}.")
    return f"Of {n_classes} classes, {' '.join(said)} Paired t tests after Holm's correction for all classes say so."


def _ends(gains: pd.DataFrame) -> str:
    entry = gains["entry"].iloc[0]
    lead = gains[gains["entry"] == entry].dropna(subset="gain").sort_values("gain")
    if lead.empty:
        return ""
    ends = [f"{isolated(row.class_name)} {points(row.gain)}" for row in (lead.iloc[-1], lead.iloc[0])]
    return f"{entry}: largest {ends[0]} points, smallest {ends[1]} points."


def _extremes(gains: pd.DataFrame, name: str, baseline: str, writer: Writer) -> Block:
    """Return the table of the classes with the largest and the smallest gains; its CSV has all of them."""
    entry = gains["entry"].iloc[0]
    ranked = gains[gains["entry"] == entry].sort_values("gain", ascending=False, kind="stable")
    shown = pd.concat([ranked.head(_EXTREMES), ranked.tail(_EXTREMES)])
    verdicts = {"gain": "gain", "loss": "loss", "unclear": "not told apart", "too few": "too few pairs"}
    return writer.table(
        name,
        gains,
        columns=("class", "training images", f"minus {baseline} (95 % interval)", "after the correction"),
        rows=[
            (
                row["class_name"] or f"class {row['class_id']}",
                str(row["n_train"]),
                gain_text(row["gain"], row["low"], row["high"]),
                verdicts[row["verdict"]],
            )
            for row in shown.to_dict("records")
        ],
        caption=(
            f"The classes with the {_EXTREMES} largest and the {_EXTREMES} smallest differences of {entry}, in points "
            "of test recall. The extremes of so many classes owe a part to chance. The file has every class."
        ),
    )


def recall_blocks(study: StudyData, writer: Writer) -> list[Block]:
    """Return the figure of recalls by class, for very many classes by training count."""
    entries = (BEST, BASELINE, TEACHER)
    recalls = mean_recalls(study, entries=entries)
    if recalls.empty:
        return []
    n_classes, once = recalls["class_id"].nunique(), f"once{' per subset' * claims_by_subset(study)}"
    figure, numbers = draw_recalls, recalls
    what, lines = "for each class, by number of training images", ""
    if n_classes > MOST_RANKED:
        figure, numbers = draw_recalls_by_count, recalls_by_count(study, entries=entries)
        what = "of classes of similar training counts"
    elif n_classes > MOST_NAMED:
        figure, lines = draw_ranked_recalls, " Lines: the mean of each group."
    return [
        writer.picture(
            "class_recalls",
            partial(figure, numbers),
            numbers,
            alt=f"Test recall of {listing(list(dict.fromkeys(recalls['entry'])))} {what}.",
            caption=f"Test recall {what}. A point is the mean over {averaged_over(study)}, with bars of one sd. The "
            f"teacher is trained {once}.{lines}",
        )
    ]


def subset_range_blocks(study: StudyData, entries: tuple[str, ...], writer: Writer) -> list[Block]:
    """Return the gains over a few subsets. They are too few for an interval, so the bars are the range of means.

    Nothing for more classes than have a place in a figure.
    """
    gains = class_gains_over_subsets(study, entries=entries, baseline=BASELINE)
    if gains.empty or gains["class_id"].nunique() > MOST_RANKED:
        return []
    n_subsets = int(gains["n_cuts"].max())
    # A range is no interval: no class is told apart by it.
    shown = gains.assign(low=gains["lowest"], high=gains["highest"], verdict="too few")
    figure, _ = _drawn(shown, BASELINE)
    return [
        writer.picture(
            "class_gains_cuts",
            figure,
            gains,
            alt=f"Difference in test recall to {BASELINE} for each class, mean and range over {n_subsets} subsets.",
            caption=(
                f"The same differences over {n_subsets} subsets of the long tail, each the mean over its seeds. A "
                "point is their mean, and its bar goes from the lowest to the highest subset. The CSV has the 95 % t "
                "intervals over subsets and the variance components."
            ),
        )
    ]


def averaged_over(study: StudyData) -> str:
    """Return what the means of this section are taken over, in words."""
    if claims_by_subset(study):
        return "subsets of the long tail"
    return "seeds" if study.n_subsets < 2 else "seeds on the study's own subset"
