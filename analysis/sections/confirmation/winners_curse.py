"""The winner's curse: how far the searched scores shrink, and which configurations may still be the best."""

import pandas as pd
from scipy import stats

from analysis.page.document import Block, ReportTable
from analysis.page.writer import Writer
from analysis.reading.knob_text import range_text
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, mean_sd, percent, plural, points, value_text
from analysis.results.accuracies import scores_of, training_noise
from analysis.search.trial_matrix import scored
from analysis.stats.best_subset import BestSubset, best_subset
from analysis.stats.paired_tests import spread


def winners_curse_blocks(study: StudyData, writer: Writer) -> list[Block]:
    """Return the shrinkage of the searched entries, and the trials that may still be the best, where each exists."""
    blocks = _shrinkage(study, training_noise(study), writer)
    fresh = {finalist.trial: finalist.fresh for finalist in study.ranked_finalists}
    kept = best_subset(scored(study), study.knobs, fresh=fresh)
    return [*blocks, best_subset_table(study, kept, writer)] if kept else blocks


def _shrinkage(study: StudyData, noise: float, writer: Writer) -> list[Block]:
    searched = study.confirm[study.confirm["trial"].notna()]
    tests = scores_of(study)
    rows, raw = [], []
    for entry, runs in searched.groupby("entry", sort=True):
        number = int(runs["trial"].iloc[0])
        value = study.searched_value(str(entry), number)
        if value is None:
            continue
        again, test = spread(runs["val_balanced_accuracy"]), spread(tests.loc[tests["entry"] == entry, "all"])
        raw.append(
            {"entry": entry, "trial": number, "val_in_search": value, "val_again": again.mean, "val_again_sd": again.sd,
             "n": again.n, "test": test.mean, "test_sd": test.sd}
        )  # fmt: skip
        rows.append(
            (str(entry), str(number), percent(value), mean_sd(again), points(again.mean - value), mean_sd(test),
             points(test.mean - again.mean))
        )  # fmt: skip
    if not rows:
        return []
    n = len(study.complete)
    expected = (
        f" If all {plural(n, 'complete trial')} were equally good, the highest would lie "
        f"{percent(noise * _expected_maximum(n))} points above its own mean by chance alone (training seeds "
        f"move one run by an sd of {percent(noise)} points)."
        if noise == noise and n > 1
        else ""
    )
    return [
        writer.table(
            "shrinkage",
            pd.DataFrame(raw),
            columns=("entry", "trial", "val, one run in the search", "val, trained again", "change", "test", "change"),
            rows=rows,
            caption=(
                "The winner's curse, in % and points: each searched entry in its one run of the search, its mean over "
                f"fresh seeds on the same validation images, and on test.{expected}"
            ),
        )
    ]


def _expected_maximum(n: int) -> float:
    """Mean of the largest of n standard normals (Blom 1958)."""
    return float(stats.norm.ppf((n - 0.375) / (n + 0.25)))


def best_subset_table(study: StudyData, kept: BestSubset, writer: Writer) -> ReportTable:
    """Return the trials that cannot be told from the best one, and the values that they have of each knob."""
    searched = {knob.name: knob for knob in study.knobs}
    rows = []
    for row in kept.ranges.to_dict("records"):
        ends = dict.fromkeys(value_text(row[end], digits=3) for end in ("low", "high"))
        text = " to ".join(ends) if row["n"] else MISSING  # of choices both ends name all
        rows.append((row["knob"], range_text(searched[row["knob"]]), text, str(row["n"])))
    numbers = ", ".join(str(number) for number in kept.trials[:12])
    more = f" and {len(kept.trials) - 12} more" if len(kept.trials) > 12 else ""
    n = len(scored(study))
    return writer.table(
        "not_worse",
        kept.ranges.assign(n_kept=len(kept.trials), highest=kept.highest, margin=kept.margin),
        columns=("knob", "searched", "in the set", "trials that have it"),
        rows=rows,
        caption=(
            f"Of {plural(n, 'complete trial')}, {len(kept.trials)} cannot be told from the best on this D_val (trials "
            f"{numbers}{more}). The highest mean of a finalist's fresh runs is {percent(kept.highest)} % there. A "
            f"trial is in the set if its value lies at most {percent(kept.margin)} points below. A finalist is judged "
            "by the mean of its fresh runs, with a smaller margin. Training seeds move one run by an sd of "
            f"{percent(kept.noise)} points, pooled over the finalists. In at least 95 % of simulated studies the set "
            "holds the trial that is best on this D_val. A knob with its whole searched range in the set is left open "
            "by this study."
        ),
    )
