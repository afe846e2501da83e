"""Other cuts of the long tail: how far the gains hang on the choice of the few tail images."""

import pandas as pd

from analysis.figures.cuts import draw_cuts
from analysis.page.document import Block, Paragraph
from analysis.page.writer import Writer
from analysis.reading.study_data import Study
from analysis.reading.wording import mean_sd, percent, points, span
from analysis.results.ladder import BEST, TEACHER, claims_by_cut
from analysis.results.subset_gains import CutGain, cut_gains, cut_means, teacher_over_cuts
from analysis.stats.paired_tests import MIN_PAIRS


def cut_blocks(study: Study, writer: Writer) -> list[Block]:
    """Return what the confirmation section says of other cuts; nothing where there is one cut only."""
    gains = cut_gains(study)
    if not gains:
        return []
    blocks: list[Block] = [Paragraph(_lead(study))]
    means = cut_means(study)
    if len(means):
        blocks.append(
            writer.picture(
                "cuts",
                draw_cuts(means),
                means,
                alt=f"Gain of {BEST} on each of {study.n_cuts} cuts of the long tail; {_alt(gains)}.",
                caption=(
                    "Gain on each cut, with its 95 % paired t interval over training seeds (cut 'own' is the one that "
                    f"was searched on), and over all cuts, with the t interval on {study.n_cuts} cut means."
                ),
            )
        )
    blocks.append(_table(gains, writer))
    return blocks


def _lead(study: Study) -> str:
    teacher = teacher_over_cuts(study)
    role = (
        "The claims of this report rest on them: each counts once, by the mean over its seeds."
        if claims_by_cut(study)
        else f"They describe, and carry no claim: that needs {MIN_PAIRS}."
    )
    fitted = f" The {TEACHER}, fitted anew on each cut, reaches {mean_sd(teacher)} % on test." if teacher.n > 1 else ""
    return (
        f"The long tail was cut {study.n_cuts} times from the same pool, with as many images of each class and the "
        f"same validation and test images; the configurations are those found on the first cut. {role}{fitted}"
    )


def _alt(gains: tuple[CutGain, ...]) -> str:
    return "; ".join(
        f"over {gain.baseline} {points(gain.cuts.lowest)} to {points(gain.cuts.highest)} points"
        for gain in gains
        if gain.entry == BEST
    )


def _table(gains: tuple[CutGain, ...], writer: Writer) -> Block:
    raw = [
        {
            "comparison": f"{gain.entry} - {gain.baseline}",
            "n_cuts": gain.cuts.over_cuts.n,
            "n_runs": gain.cuts.n_runs,
            "own_mean": gain.own.mean,
            "own_low": gain.own.low,
            "own_high": gain.own.high,
            "cuts_mean": gain.cuts.over_cuts.mean,
            "cuts_low": gain.cuts.over_cuts.low,
            "cuts_high": gain.cuts.over_cuts.high,
            "p_t_cuts": gain.cuts.over_cuts.p,
            "lowest_cut": gain.cuts.lowest,
            "highest_cut": gain.cuts.highest,
            "sd_cuts": gain.cuts.sd_cuts,
            "sd_seeds": gain.cuts.sd_seeds,
        }
        for gain in gains
    ]
    rows = [
        (
            f"{gain.entry} − {gain.baseline}",
            points(gain.own.mean),
            span(gain.own),
            f"{gain.cuts.over_cuts.n} ({gain.cuts.n_runs} pairs)",
            points(gain.cuts.over_cuts.mean),
            span(gain.cuts.over_cuts),
            percent(gain.cuts.sd_cuts),
            percent(gain.cuts.sd_seeds),
        )
        for gain in gains
    ]
    return writer.table(
        "cuts_gains",
        pd.DataFrame(raw),
        columns=(
            "difference",
            "own cut",
            "95 % over seeds",
            "cuts",
            "over cuts",
            "95 % over cuts",
            "sd between cuts",
            "sd between seeds",
        ),
        rows=rows,
        strong=[index for index, gain in enumerate(gains) if gain.entry == BEST],
        caption=(
            "Gains in points of test balanced accuracy, paired by seed within a cut. The interval over seeds holds for "
            "the own cut's training images; the one over cuts is the t interval on the cut means and covers both the "
            "choice of images and the chance of training. The last two columns are variance components as standard "
            "deviations: what another choice of images does beyond training (0 where the cuts differ by no more than "
            "their seeds explain), and what another training seed does on the same images."
        ),
    )
