"""The section on the health of the search, and the improvement expected from twenty more trials."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial

from analysis.figures.history import draw_convergence
from analysis.page.document import Block, Note, Paragraph, Section, fold
from analysis.page.writer import Writer
from analysis.reading.knob_text import leading_knobs
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, listing, p_value, percent, plural
from analysis.results.accuracies import training_noise
from analysis.search.health import (
    EDGE,
    KNOB_CELLS,
    LEVEL,
    NEXT,
    WEAK_RANK,
    Outlook,
    coverage,
    edges,
    expected_best,
    outlook,
    pair_coverage,
    rung_ranks,
)
from analysis.search.trial_matrix import scored, value_of
from analysis.sections.search import failure_blocks

_FEW_TRIALS = 4
_FEW_RANKED = 10


def health_section(study: StudyData, writer: Writer) -> Section:
    """Return the answers in sentences; the tables and the figure that they rest on are folded away."""
    title = "Study health"
    complete = scored(study)
    if not complete:
        lead = "Nothing can be said of a search without a complete trial."
        return Section("health", title, (Paragraph(lead), *failure_blocks(study, writer)))
    found: list[Block] = [
        *_covered(study, complete, writer),
        *_on_edges(study, complete, writer),
        *_rungs(complete, writer),
        *_converged(study, complete, writer),
        *failure_blocks(study, writer),
    ]
    answers = [block for block in found if isinstance(block, Paragraph | Note)]
    behind = [block for block in found if block not in answers]
    return Section("health", title, (*answers, *fold("The tables and the figure behind these answers", behind)))


def _covered(study: StudyData, complete: Sequence[FrozenTrial], writer: Writer) -> list[Block]:
    table, pairs = coverage(complete, study.knobs), pair_coverage(complete, leading_knobs(study.knobs, ()))
    least = table.sort_values("covered", kind="stable").iloc[0]
    answer = (
        f"Was the space covered? The {plural(len(complete), 'complete trial')} reach "
        f"{_whole(table['covered'].mean())} % of the cells of a knob on average, "
        f"least of {least['knob']} ({_whole(least['covered'])} %)."
    )
    shown = writer.table(
        "coverage",
        table,
        columns=("knob", "complete trials with it", "cells", "cells with a trial (%)", "widest gap (% of range)"),
        rows=[
            (row["knob"], str(row["n"]), str(row["cells"]), _whole(row["covered"]), _whole(row["largest_gap"]))
            for row in table.to_dict("records")
        ],
        caption=(
            f"How much of each knob's range was tried: up to {KNOB_CELLS} equal cells on its own scale, or one per "
            "choice. A knob that exists only under a condition has fewer trials."
        ),
    )
    if pairs.empty:
        return [Paragraph(answer), shown]
    answer += f" Of the cells of a pair of core knobs {_whole(pairs['covered'].mean())} % hold a trial."
    of_pairs = writer.table(
        "coverage_pairs",
        pairs,
        columns=("pair", "complete trials with both", "cells", "cells with a trial (%)"),
        rows=[
            (f"{row['x']}, {row['y']}", str(row["n"]), str(row["cells"]), _whole(row["covered"]))
            for row in pairs.to_dict("records")
        ],
        caption="The same for pairs of core knobs, on cells that would hold about two trials each.",
    )
    return [Paragraph(answer), shown, of_pairs]


def _on_edges(study: StudyData, complete: Sequence[FrozenTrial], writer: Writer) -> list[Block]:
    table = edges(complete, study.knobs, study.best)
    if table.empty:
        return []
    rows = table.to_dict("records")
    shown = writer.table(
        "edges",
        table,
        columns=(
            *("knob", "best", "place in the range (%)", "edge", "leading trials there (%)", "all trials there (%)"),
            "p over all knobs",
        ),
        rows=[
            (
                row["knob"],
                f"{row['value']:.4g}",
                _whole(row["position"]),
                row["edge"] or MISSING,
                _whole(row["leading_on_edge"]),
                _whole(row["trials_on_edge"]),
                p_value(row["p"], level=LEVEL),
            )
            for row in rows
        ],
        caption=(
            "The place of the best trial in each numeric knob's range: 0 % is its lower end and 100 % its upper, on "
            f"its own scale. The edge is that on which leading trials lie; the outer {_whole(EDGE)} % count as one. "
            "The leading trials are the best tenth of the complete ones, at least five. The p compares them with as "
            "many drawn from all trials, for all knobs and ends together. An end that is the knob's legal bound has no "
            "p, because no range goes on beyond it."
        ),
    )
    question = "Do the leading trials lie on an edge?"
    told = [
        f"{row['knob']} at its {row['edge']} end {row['end']:.4g} ({_whole(row['leading_on_edge'])} % of the leading "
        f"trials and {_whole(row['trials_on_edge'])} % of all, p {p_value(row['p'], level=LEVEL)})"
        for row in rows
        if row["p"] <= LEVEL
    ]
    if not told:
        return [Paragraph(f"{question} No knob's leading trials lie on an edge more often than by chance."), shown]
    advice = "The optimum may lie outside the searched range: widen it."
    return [Note(f"{question} Yes, more often than by chance: {listing(told)}. {advice}"), shown]


def _rungs(complete: Sequence[FrozenTrial], writer: Writer) -> list[Block]:
    table = rung_ranks(complete)
    if table.empty:
        return [Paragraph("Did early rungs rank like the end? No trial was evaluated before its last epoch.")]
    rows = [
        (str(row["epoch"]), str(row["n"]), _rank(row["spearman"]), f"{_rank(row['low'])} to {_rank(row['high'])}")
        for row in table.to_dict("records")
    ]
    shown = writer.table(
        "rung_ranks",
        table,
        columns=("rung (epoch)", "trials", "rank correlation", "95 % bootstrap interval"),
        rows=rows,
        caption=(
            "Spearman's rank correlation of validation balanced accuracy at each rung with the final value, over the "
            "complete trials. Trials pruned at the rung are missing; this lowers the correlation."
        ),
    )
    first = table.iloc[0]
    if np.isnan(first["spearman"]):
        return [Paragraph("Did early rungs rank like the end? Too few trials with both values to say."), shown]
    said = (
        f"Did early rungs rank like the end? The first, at epoch {first['epoch']:.0f}, has a rank correlation of "
        f"{first['spearman']:.2f} with the end ({plural(int(first['n']), 'trial')})"
    )
    weak = table[table["spearman"] < WEAK_RANK]
    if weak.empty:
        return [Paragraph(f"{said}."), shown]
    epochs = f"epoch{'s' * (len(weak) > 1)} {listing([str(epoch) for epoch in weak['epoch']])}"
    warning = f"Below {WEAK_RANK} at {epochs}: pruning there ranks trials poorly."
    few = f" So few trials cannot settle it (fewer than {_FEW_RANKED})." if weak["n"].min() < _FEW_RANKED else ""
    return [Note(f"{said}. {warning}{few}"), shown]


def _converged(study: StudyData, complete: Sequence[FrozenTrial], writer: Writer) -> list[Block]:
    values = [value_of(trial) for trial in complete]
    if len(values) < _FEW_TRIALS:
        return [Paragraph(f"Did the study converge? {plural(len(values), 'complete trial')} cannot tell.")]
    best = np.maximum.accumulate(values)
    random = expected_best(values)
    table = pd.DataFrame({"n_complete": range(1, len(values) + 1), "best_so_far": best, "best_in_random_order": random})
    last = min(NEXT, len(values) - 1)
    came = _ago(len(values) - 1 - int(np.argmax(values)))
    gains = [max(float(curve[-1] - curve[-1 - last]), 0.0) for curve in (best, random)]
    gained, in_random_order = (percent(gain, decimals=2) for gain in gains)
    said = (
        f"Did the study converge? The highest single value came {came}. The last {last} complete trials raised it by "
        f"{gained} points. In random order they would have raised it by {in_random_order} on average."
    )
    return [
        Paragraph(said),
        Paragraph(_next(outlook(study.trials), training_noise(study))),
        writer.picture(
            "convergence",
            partial(draw_convergence, table),
            table,
            alt=f"Best validation balanced accuracy after each of {len(values)} complete trials. {said}",
            caption=(
                "The highest single validation value after each complete trial, and its mean over all orders of the "
                "same trials. A curve that is flat at its end promises little from more trials of the same kind."
            ),
        ),
    ]


def _ago(since: int) -> str:
    return "with the last complete trial" if since == 0 else f"{plural(since, 'complete trial')} before the end"


def _next(found: Outlook, noise: float) -> str:
    if np.isnan(found.mean):
        return f"What would the next {found.n} trials bring? Too few complete trials to say."
    noise_text = (
        f" Training one configuration again moves this number by an sd of {percent(noise, decimals=2)} points, so a "
        "smaller rise shows nothing."
        if noise == noise
        else ""
    )
    return (
        f"What would the next {found.n} trials most likely bring? {percent(found.mean, decimals=2)} points on average "
        f"over the best single value. In 95 of 100 cases it is at most {percent(found.high, decimals=2)}, and in "
        f"{percent(1 - found.chance, decimals=0)} it is nothing. This holds if they resemble the last {found.n_seen} "
        f"trials (smoothed bootstrap). A sampler that learns may find more.{noise_text}"
    )


def _whole(fraction: float) -> str:
    return percent(fraction, decimals=0)


def _rank(value: float) -> str:
    return MISSING if np.isnan(value) else f"{value:.2f}"
