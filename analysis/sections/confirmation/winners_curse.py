"""The winner's curse: how far the searched scores shrink, and which configurations may still be the best."""

import pandas as pd
from scipy import stats

from analysis.page.document import Block, ReportTable
from analysis.page.writer import Writer
from analysis.reading.knob_text import range_text
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, mean_sd, percent, plural, points, value_text
from analysis.results.accuracies import counted_runs, scores_of, training_noise
from analysis.search.trial_matrix import scored
from analysis.stats.best_subset import BestSubset, best_subset
from analysis.stats.paired_tests import spread
from analysis.stats.pooled_interval import pooled_sd

#: The runs over which `BestSubset.noise` is pooled, in words.
_FRESH_RUNS = "the finalists' fresh runs"


def winners_curse_blocks(study: StudyData, writer: Writer) -> list[Block]:
    """Return the shrinkage of the searched entries, and the trials that may still be the best, where each exists."""
    blocks = _shrinkage(study, writer)
    fresh = {finalist.trial: finalist.fresh for finalist in study.ranked_finalists}
    kept = best_subset(scored(study), study.knobs, fresh=fresh)
    return [*blocks, best_subset_table(study, kept, writer)] if kept else blocks


def _shrinkage(study: StudyData, writer: Writer) -> list[Block]:
    counted, tests = counted_runs(study), scores_of(study)
    searched = counted[counted["trial"].notna()]
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
    diverged = " A diverged run counts at chance on both sets." if len(study.diverged) else ""
    return [
        writer.table(
            "shrinkage",
            pd.DataFrame(raw),
            columns=("entry", "trial", "val, one run in the search", "val, trained again", "change", "test", "change"),
            rows=rows,
            caption=(
                "The winner's curse, in % and points: each searched entry in the one run of its search, and trained "
                "again on fresh seeds. The first mean of these runs is on the same validation images, the second on "
                f"test.{diverged}{_luck(study)}"
            ),
        )
    ]


def _luck(study: StudyData) -> str:
    """Say how far chance alone lifts the highest of the trials; '' where the noise of one run is not known."""
    (noise, runs), n = _noise(study), len(study.complete)
    if noise != noise or n < 2:
        return ""
    return (
        f" If all {plural(n, 'complete trial')} were equally good, chance alone would lift the highest "
        f"{percent(noise * _expected_maximum(n))} points above its own mean. {_noise_text(noise, runs)}"
    )


def _noise(study: StudyData) -> tuple[float, str]:
    """Return the sd over training seeds of one run of a trial on D_val (a fraction), and the runs it is pooled over.

    The finalists' fresh runs are runs of trials. Without them the confirmation's entries stand in, baselines included.
    """
    noise, free = pooled_sd(finalist.fresh for finalist in study.ranked_finalists)
    return (noise, _FRESH_RUNS) if free else (training_noise(study), "the runs of each entry of the confirmation")


def _noise_text(noise: float, runs: str) -> str:
    return f"Training seeds move one run by an sd of {percent(noise)} points, pooled over {runs}."


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
            f"Of {plural(n, 'complete trial')}, {len(kept.trials)} cannot be told from the best on this D_val: "
            f"{numbers}{more}. The highest mean of a finalist's fresh runs is {percent(kept.highest)} % there. A "
            f"trial is in the set if its value lies at most {percent(kept.margin)} points below. A finalist is judged "
            f"by the mean of its fresh runs, with a smaller margin. {_noise_text(kept.noise, _FRESH_RUNS)} In at least "
            "95 % of simulated studies the set holds the trial that is best on this D_val. A knob with its whole "
            "searched range in the set is left open by this study."
        ),
    )
