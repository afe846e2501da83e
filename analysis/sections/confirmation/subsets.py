"""Other subsets of the long tail: how far the gains depend on the choice of the few tail images."""

from functools import partial

import pandas as pd

from analysis.figures.paired_gains import draw_subset_gains
from analysis.page.document import Block, Paragraph, fold
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import mean_sd, percent, points, span
from analysis.results.accuracies import claims_by_subset
from analysis.results.entries import BEST, TEACHER
from analysis.results.subset_gains import SubsetGain, subset_gains, subset_means, teacher_over_subsets
from analysis.stats.paired_tests import MIN_PAIRS


def subset_blocks(study: StudyData, writer: Writer) -> list[Block]:
    """Return the figure and the table of gains over subsets; nothing where there is one subset only."""
    gains = subset_gains(study)
    if not gains:
        return []
    blocks: list[Block] = [Paragraph(_lead(study))]
    means = subset_means(study)
    if len(means):
        blocks.append(
            writer.picture(
                "cuts",
                partial(draw_subset_gains, means),
                means,
                alt=f"Difference of {BEST} on each of {study.n_subsets} subsets of the long tail; {_alt(gains)}.",
                caption=(
                    "Difference on each subset, with its 95 % paired t interval over training seeds; the search ran on "
                    "the subset 'own'. At the right: the difference over all subsets, with the t interval on "
                    f"{study.n_subsets} subset means."
                ),
            )
        )
    return [*blocks, *fold("The differences over subsets, and how far subsets and seeds vary", [_table(gains, writer)])]


def _lead(study: StudyData) -> str:
    teacher = teacher_over_subsets(study)
    role = (
        "The claims of this report rest on the subsets: each counts once, by the mean over its seeds."
        if claims_by_subset(study)
        else f"The differences over subsets are descriptive and carry no claim: a claim needs {MIN_PAIRS} subsets."
    )
    fitted = (
        f" The {TEACHER}, fitted anew on each subset, reaches {mean_sd(teacher)} % on test." if teacher.n > 1 else ""
    )
    return (
        f"The long tail was sampled {study.n_subsets} times from the same pool, with as many images of each class and "
        f"the same validation and test images. The configurations were found on the first subset. {role}{fitted}"
    )


def _alt(gains: tuple[SubsetGain, ...]) -> str:
    return "; ".join(
        f"over {gain.baseline} {points(gain.subsets.lowest)} to {points(gain.subsets.highest)} points"
        for gain in gains
        if gain.entry == BEST
    )


def _table(gains: tuple[SubsetGain, ...], writer: Writer) -> Block:
    raw, cells = [], []
    for gain in gains:
        own, nested, over = gain.own, gain.subsets, gain.subsets.over_subsets
        raw.append(
            {"comparison": f"{gain.entry} - {gain.baseline}", "n_cuts": over.n, "n_runs": nested.n_runs}
            | {"own_mean": own.mean, "own_low": own.low, "own_high": own.high}
            | {"cuts_mean": over.mean, "cuts_low": over.low, "cuts_high": over.high, "p_t_cuts": over.p}
            | {"lowest_cut": nested.lowest, "highest_cut": nested.highest}
            | {"sd_cuts": nested.sd_subsets, "sd_seeds": nested.sd_seeds}
        )
        cells.append(
            {
                "difference": f"{gain.entry} − {gain.baseline}",
                "own subset": points(own.mean),
                "95 % over seeds": span(own),
                "subsets": f"{over.n} ({nested.n_runs} pairs)",
                "over subsets": points(over.mean),
                "95 % over subsets": span(over),
                "sd between subsets": percent(nested.sd_subsets),
                "sd between seeds": percent(nested.sd_seeds),
            }
        )
    return writer.table(
        "cuts_gains",
        pd.DataFrame(raw),
        columns=tuple(cells[0]),
        rows=[tuple(row.values()) for row in cells],
        strong=[index for index, gain in enumerate(gains) if gain.entry == BEST],
        caption=(
            "Differences in points of test balanced accuracy, paired by seed within a subset. The interval over seeds "
            "holds for the training images of the own subset. The interval over subsets is the t interval on "
            "the subset means; it covers the choice of images and the chance of training. The last two columns are "
            "variance components as standard deviations: the effect of another choice of images beyond training (0 "
            "where the subsets differ by no more than their seeds explain), and of another training seed on the same "
            "images."
        ),
    )
