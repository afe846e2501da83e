"""Other subsets of the long tail: how far the gains depend on the choice of the few tail images."""

import pandas as pd

from analysis.figures.subset_gains import draw_subset_gains
from analysis.page.document import Block, Paragraph
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
                draw_subset_gains(means),
                means,
                alt=f"Gain of {BEST} on each of {study.n_subsets} subsets of the long tail; {_alt(gains)}.",
                caption=(
                    "Gain on each subset, with its 95 % paired t interval over training seeds; the search ran on the "
                    f"subset 'own'. At the right: the gain over all subsets, with the t interval on {study.n_subsets} "
                    "subset means."
                ),
            )
        )
    blocks.append(_table(gains, writer))
    return blocks


def _lead(study: StudyData) -> str:
    teacher = teacher_over_subsets(study)
    role = (
        "The claims of this report rest on the subsets: each counts once, by the mean over its seeds."
        if claims_by_subset(study)
        else f"The gains over subsets are descriptive and carry no claim: a claim needs {MIN_PAIRS} subsets."
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
    raw = [
        {
            "comparison": f"{gain.entry} - {gain.baseline}",
            "n_cuts": gain.subsets.over_subsets.n,
            "n_runs": gain.subsets.n_runs,
            "own_mean": gain.own.mean,
            "own_low": gain.own.low,
            "own_high": gain.own.high,
            "cuts_mean": gain.subsets.over_subsets.mean,
            "cuts_low": gain.subsets.over_subsets.low,
            "cuts_high": gain.subsets.over_subsets.high,
            "p_t_cuts": gain.subsets.over_subsets.p,
            "lowest_cut": gain.subsets.lowest,
            "highest_cut": gain.subsets.highest,
            "sd_cuts": gain.subsets.sd_subsets,
            "sd_seeds": gain.subsets.sd_seeds,
        }
        for gain in gains
    ]
    rows = [
        (
            f"{gain.entry} − {gain.baseline}",
            points(gain.own.mean),
            span(gain.own),
            f"{gain.subsets.over_subsets.n} ({gain.subsets.n_runs} pairs)",
            points(gain.subsets.over_subsets.mean),
            span(gain.subsets.over_subsets),
            percent(gain.subsets.sd_subsets),
            percent(gain.subsets.sd_seeds),
        )
        for gain in gains
    ]
    return writer.table(
        "cuts_gains",
        pd.DataFrame(raw),
        columns=(
            "difference",
            "own subset",
            "95 % over seeds",
            "subsets",
            "over subsets",
            "95 % over subsets",
            "sd between subsets",
            "sd between seeds",
        ),
        rows=rows,
        strong=[index for index, gain in enumerate(gains) if gain.entry == BEST],
        caption=(
            "Gains in points of test balanced accuracy, paired by seed within a subset. The interval over seeds holds "
            "for the training images of the own subset. The interval over subsets is the t interval on the subset "
            "means; it covers the choice of images and the chance of training. The last two columns are variance "
            "components as standard deviations: the effect of another choice of images beyond training (0 where the "
            "subsets differ by no more than their seeds explain), and of another training seed on the same images."
        ),
    )
