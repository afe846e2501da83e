"""The importances: the screen for all classes, two other measures, and the screen for each class group."""

from dataclasses import asdict
from functools import partial

import pandas as pd

from analysis.figures.importance import draw_groups, draw_screen, draw_shares
from analysis.page.document import Block, Paragraph, fold
from analysis.page.writer import Writer
from analysis.reading.wording import (
    EXACT,
    GROUP_HEADINGS,
    listing,
    p_value,
    percent,
    percent_within,
    plural,
    value_text,
)
from analysis.search.importance import FANOVA, PED_ANOVA, Importances
from analysis.search.screen import LEVEL, MIN_TRIALS
from analysis.search.trial_matrix import TARGETS


def importance_blocks(importances: Importances, writer: Writer) -> list[Block]:
    """Return the figures of the importances, or why there are none."""
    everyone = importances.of("all")
    if everyone.empty:
        needed = f"{MIN_TRIALS} complete trials that differ and two knobs that vary"
        return [Paragraph(f"No importances: they need {needed}; there are {importances.n_complete} complete trials.")]
    several = len(importances.noise) > 1
    by_group = [_groups(importances, writer), *_where_groups_are_best(importances, writer)] if several else []
    measures = [_shares(importances, everyone, writer), *([_every_measure(importances, writer)] if several else [])]
    return [
        _screen(importances, everyone, writer),
        *fold("Main effects for each group of classes", by_group),
        *fold("Second opinions: PED-ANOVA and fANOVA", measures),
    ]


def _screen(importances: Importances, everyone: pd.DataFrame, writer: Writer) -> Block:
    named = importances.named("all")
    summary = f"shown to matter: {listing(named)}" if named else "none is shown to matter"
    learned = (
        f" A sampler that learns chose {importances.n_learned} of the trials. It tries what looked good by chance "
        "again and again, so that a knob without effect is named more often than that."
    ) * bool(importances.n_learned)
    left_out = f" Not judged, as they never vary: {listing(list(importances.unranked))}." * bool(importances.unranked)
    return writer.picture(
        "importance",
        partial(draw_screen, everyone, noise=importances.noise["all"]),
        everyone[["knob", "p", "p_family", "matters", "share", "n"]],
        alt=f"The main effect of each of {len(everyone)} knobs; {summary}.",
        caption=(
            f"The main effect of each knob on validation balanced accuracy, from {importances.n_complete} complete "
            "trials: its share of the variance between trials, and a p value. The test sees slopes, peaks, curves, "
            "cliffs near the ends and differences between choices. Values far from the others are drawn in, so that "
            "no diverged trial decides. What the knobs named before it explain is taken out. A knob is shown to matter "
            f"where p is at most {LEVEL:g}. That holds for all knobs together: in about "
            f"{percent(LEVEL, decimals=0)} % of studies a knob without effect is named.{learned} A knob that is not "
            "shown to matter may still matter a little. A conditional knob is judged among the trials that have it."
            f"{left_out}"
        ),
    )


def _shares(importances: Importances, everyone: pd.DataFrame, writer: Writer) -> Block:
    missing = list(everyone.loc[everyone["fanova"].isna(), "knob"])
    without = f" Not every trial has {listing(missing)}, which fANOVA leaves out." if missing else ""
    leader = everyone.sort_values("ped_anova", ascending=False)["knob"].iloc[0]
    columns = ["knob", "ped_anova", "ped_anova_low", "ped_anova_high", "fanova"]
    return writer.picture(
        "importance_shares",
        partial(draw_shares, everyone[columns]),
        everyone[columns],
        alt=f"Shares of importance by two measures; PED-ANOVA puts {leader} first.",
        caption=(
            f"Two other measures, as shares: {PED_ANOVA}, with the 95 % spread over half-samples, and {FANOVA}, "
            "computed once. The first measures what distinguishes the best trials, the second what explains the "
            "variance of all trials. They may disagree. Neither is compared with chance: a knob without effect has a "
            f"share too.{without}"
        ),
    )


def _groups(importances: Importances, writer: Writer) -> Block:
    named = [f"{TARGETS[target]}: {listing(importances.named(target)) or 'none'}" for target in importances.noise]
    return writer.picture(
        "importance_groups",
        partial(draw_groups, importances.frame),
        importances.frame[["target", "knob", "p", "p_family", "matters", "share", "n"]],
        alt=f"The main effect of each knob by class group. Shown to matter, for {'; '.join(named)}.",
        caption=(
            "The same for the mean validation recall of each class group. A hollow mark is a knob that is not shown to "
            "matter for its group. The p values hold within a group, not over the groups."
        ),
    )


def _where_groups_are_best(importances: Importances, writer: Writer) -> list[Block]:
    """One row per knob and group for which it is shown to matter; nothing where there is none."""
    if not importances.groups:
        return []
    rows = [
        (
            effect.knob,
            GROUP_HEADINGS[effect.group],
            p_value(effect.p),
            value_text(effect.best, digits=EXACT),
            value_text(effect.worst, digits=EXACT),
            percent(effect.falls),
        )
        for effect in importances.groups
    ]
    return [
        writer.table(
            "group_knobs",
            pd.DataFrame([asdict(effect) for effect in importances.groups]),
            columns=("knob", "group", "p over knobs and groups", "highest at", "lowest at", "falls by (points)"),
            rows=rows,
            caption=(
                "Where a group's recall is highest and lowest along a knob that is shown to matter for it. The other "
                "knobs are as in the trials' mean. Values and fall are estimates."
            ),
        )
    ]


def _every_measure(importances: Importances, writer: Writer) -> Block:
    """All measures of every target in one sortable table."""
    frame = importances.frame
    rows = [
        (
            TARGETS[str(row["target"])],
            str(row["knob"]),
            percent(row["share"]),
            p_value(row["p_family"]),
            "yes" if row["matters"] else "no",
            percent_within(row["ped_anova"], row["ped_anova_low"], row["ped_anova_high"]),
            percent(row["fanova"]),
        )
        for row in frame.to_dict("records")
    ]
    return writer.table(
        "importance_measures",
        frame,
        columns=("target", "knob", "main effect (%)", "p", "matters", "PED-ANOVA (%)", "fANOVA (%)"),
        rows=rows,
        caption=(
            "Every measure for every class group. PED-ANOVA and fANOVA are shares that add up to 100. In parentheses "
            "stands the central 95 % of half-samples of the trials; fANOVA is computed once from "
            f"{plural(importances.n_complete, 'complete trial')}. Click a heading to sort."
        ),
    )
