"""The importances: against chance for all classes, by three other measures, and for each class group."""

import pandas as pd

from analysis.figures.importance import draw_groups, draw_importance, draw_shares
from analysis.page.document import Block, Note, Paragraph
from analysis.page.writer import Writer
from analysis.reading.wording import listing, percent, plural
from analysis.search.forests import N_CHANCE
from analysis.search.importance import FANOVA, MIN_TRIALS, PED_ANOVA, Importances, unsettled
from analysis.search.trial_matrix import TARGETS


def importance_blocks(importances: Importances, writer: Writer) -> list[Block]:
    """Return the figures of the importances, or why there are none."""
    everyone = importances.of("all")
    if everyone.empty:
        needed = f"{MIN_TRIALS} complete trials that differ and two knobs that vary"
        return [Paragraph(f"No importances: they need {needed}; there are {importances.n_complete} complete trials.")]
    blocks: list[Block] = [_against_chance(importances, everyone, writer), _shares(importances, everyone, writer)]
    if len(importances.floors) > 1:
        blocks += [_groups(importances, writer), _every_measure(importances, writer)]
    caveat = unsettled(importances).strip()
    return [*blocks, Note(caveat)] if caveat else blocks


def _against_chance(importances: Importances, everyone: pd.DataFrame, writer: Writer) -> Block:
    floor = importances.floors["all"]
    columns = ["knob", "permutation", "permutation_low", "permutation_high", "above_chance"]
    above = list(everyone.loc[everyone["above_chance"], "knob"])
    summary = f"above chance: {', '.join(above)}" if above else "none is above chance"
    left_out = f" Not ranked, as they never vary: {listing(list(importances.unranked))}." * bool(importances.unranked)
    return writer.picture(
        "importance",
        draw_importance(everyone, floor=floor),
        everyone[columns].assign(floor=floor),
        alt=f"What shuffling each knob costs, {len(everyone)} knobs; {summary}.",
        caption=(
            f"The importance of each knob for validation balanced accuracy, from {importances.n_complete} complete "
            "trials. A forest is fitted to one half; the bar is how much worse it predicts the other half once the "
            f"knob's values are shuffled there: mean and central 95 % of {importances.n_samples} random halves. The "
            f"grey zone is chance: {N_CHANCE} columns of random numbers in the same forests, the largest of which is "
            f"the floor; one knob without effect in {N_CHANCE + 1} passes it. A conditional knob is shuffled among the "
            f"trials that have it.{left_out}"
        ),
    )


def _shares(importances: Importances, everyone: pd.DataFrame, writer: Writer) -> Block:
    partial = list(everyone.loc[everyone["fanova"].isna(), "knob"])
    without = f" Not every trial has {listing(partial)}, which fANOVA leaves out." if partial else ""
    leader = everyone.sort_values("ped_anova", ascending=False)["knob"].iloc[0]
    columns = ["knob", *(name + end for name in ("ped_anova", "mdi") for end in ("", "_low", "_high")), "fanova"]
    return writer.picture(
        "importance_shares",
        draw_shares(everyone[columns]),
        everyone[columns],
        alt=f"Shares of importance by three measures; PED-ANOVA puts {leader} first.",
        caption=(
            f"Three other measures, as shares: {PED_ANOVA}, the forests' mean decrease in impurity, both with the "
            f"95 % spread over half-samples, and {FANOVA}, computed once. The first measures what distinguishes the "
            "best trials, the others what explains the variance of all trials. They may disagree. None of them is "
            f"compared with chance: a knob without effect has a share too.{without}"
        ),
    )


def _groups(importances: Importances, writer: Writer) -> Block:
    firsts = [f"{TARGETS[target]}: {importances.of(target)['knob'].iloc[0]}" for target in importances.floors]
    frame = importances.frame.assign(floor=importances.frame["target"].map(dict(importances.floors)))
    return writer.picture(
        "importance_groups",
        draw_groups(importances.frame, floors=importances.floors),
        frame,
        alt=f"What shuffling each knob costs, by class group. First is, for {'; '.join(firsts)}.",
        caption=(
            "The same for the mean validation recall of each class group; hollow marks are not above the floor of "
            "their own group."
        ),
    )


def _every_measure(importances: Importances, writer: Writer) -> Block:
    """All four measures of every target in one sortable table."""
    frame = importances.frame.assign(floor=importances.frame["target"].map(dict(importances.floors)))
    rows = [
        (
            TARGETS[str(row["target"])],
            str(row["knob"]),
            f"{percent(row['permutation'])} ({percent(row['permutation_low'])} to {percent(row['permutation_high'])})",
            "yes" if row["above_chance"] else "no",
            f"{percent(row['ped_anova'])} ({percent(row['ped_anova_low'])} to {percent(row['ped_anova_high'])})",
            f"{percent(row['mdi'])} ({percent(row['mdi_low'])} to {percent(row['mdi_high'])})",
            percent(row["fanova"]),
        )
        for row in frame.to_dict("records")
    ]
    return writer.table(
        "importance_measures",
        frame,
        columns=("target", "knob", "permutation (%)", "above chance", "PED-ANOVA (%)", "MDI (%)", "fANOVA (%)"),
        rows=rows,
        caption=(
            "Every measure for every class group: error added by shuffling in % of the variance, with the central 95 % "
            "of the half-samples and whether it is above that group's floor; the other three as shares, fANOVA once "
            f"from {plural(importances.n_complete, 'complete trial')}. Click a heading to sort."
        ),
    )
