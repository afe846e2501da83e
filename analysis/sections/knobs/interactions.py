"""The interactions of knobs: strengths of all pairs, for all classes and for each class group."""

from functools import partial

import numpy as np
import pandas as pd

from analysis.figures.pairs import draw_interactions
from analysis.page.document import Block, Paragraph, fold
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import p_value, percent, plural
from analysis.search.interactions import LEVEL, MIN_FREE, Interactions, interactions
from analysis.search.trial_matrix import TARGETS, TrialMatrix, targets, trial_matrix

#: Pairs of knobs in the table for each class group.
_STRONGEST = 3


def interaction_blocks(study: StudyData, matrix: TrialMatrix, found: Interactions, writer: Writer) -> list[Block]:
    """Return the matrix of interaction strengths, and the strongest pairs for each class group."""
    by_group = _group_interactions(study, writer)
    return [*_interactions(matrix, found, writer), *fold("Interactions for each group of classes", by_group)]


def _interactions(matrix: TrialMatrix, found: Interactions, writer: Writer) -> list[Block]:
    if found.frame.empty:
        if len(matrix.knobs) < 3:
            return []
        needed = f"{MIN_FREE} degrees of freedom beside the main effects; there are {max(0, found.free)}"
        return [Paragraph(f"No interaction strengths: they need {needed}.")]
    first = found.frame.iloc[0]
    # Corrected for the number of products, a strength may be below 0.
    share = f"{percent(first['strength'], decimals=0)} % of" if first["strength"] > 0 else "no share of"
    pair = f"{first['x_knob']} and {first['y_knob']} ({share} the variance"
    n_pairs = plural(len(found.frame), "pair")
    p = p_value(first["p"], level=float(np.nextafter(LEVEL, 0)))  # a pair is clear below the level, not at it
    summary = f"strongest {pair}, p {p}); {len(found.clear)} of {n_pairs} at p below {LEVEL:g}"
    return [
        writer.picture(
            "interactions",
            partial(draw_interactions, found.frame, list(matrix.names)),
            found.frame,
            alt=f"Interaction strengths of all pairs of knobs: {summary}.",
            caption=(
                "The joint effect of two knobs beyond the effect of each, as a share of the variance of validation "
                "balanced accuracy. Products of the knobs' Legendre polynomials (degree one and two) explain it beside "
                f"all main effects. It is corrected for their number. Found: {summary}. A star marks these. The p "
                "compares the strongest of all pairs with chance, so it is corrected for the number of pairs. Values "
                "far from the others are drawn in, and p is the larger one with and without such trials."
            ),
        )
    ]


def _group_interactions(study: StudyData, writer: Writer) -> list[Block]:
    """Return the strongest pairs for each class group; the file holds all pairs."""
    matrix = trial_matrix(study.complete, study.knobs)
    parts: list[pd.DataFrame] = []
    for target, values in targets(study).items():
        known = np.isfinite(values)
        if target != "all":
            parts.append(interactions(matrix.rows(known), values[known]).frame.assign(target=target))
    parts = [part for part in parts if len(part)]
    if not parts:
        return []
    found = pd.concat(parts, ignore_index=True)
    shown = found.groupby("target", sort=False).head(_STRONGEST)
    return [
        writer.table(
            "interactions_groups",
            found[["target", "x_knob", "y_knob", "strength", "p"]],
            columns=("group", "pair", "share of the variance (%)", "p"),
            rows=[
                (
                    TARGETS[row["target"]],
                    f"{row['x_knob']}, {row['y_knob']}",
                    percent(max(row["strength"], 0.0)),  # corrected for the number of products, it may be below 0
                    p_value(row["p"]),
                )
                for row in shown.to_dict("records")
            ],
            caption=(
                f"The {_STRONGEST} strongest pairs for the mean validation recall of each class group, measured in the "
                "same way. The p is corrected for the pairs of a group, not for the number of groups. The file holds "
                "every pair."
            ),
        )
    ]
