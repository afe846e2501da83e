"""One knob and two: slices, pair heatmaps in two layers, the matrix of interactions, the path to the best."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial

from analysis.figures.pairs import Frame, colour_limits, draw_interactions, draw_pair, draw_surrogate
from analysis.figures.slices import draw_slice
from analysis.page.document import Block, Gallery, Paragraph, Picture
from analysis.page.writer import Writer
from analysis.reading.knob_text import N_LEADING, leading_knobs
from analysis.reading.study_data import Study
from analysis.reading.wording import MISSING, p_value, percent, plural, points
from analysis.results.ladder import training_noise
from analysis.search.importance import Importances
from analysis.search.interactions import MIN_FREE, interactions
from analysis.search.pair_grids import PairGrid, pair_grids, pair_surrogate
from analysis.search.path_to_best import ablation_path
from analysis.search.slices import Slice, slice_of
from analysis.search.surrogate import Surrogate, fit_surrogate
from analysis.search.trial_matrix import TARGETS, Design, design, scored, targets

#: Pairs of knobs that are listed for each class group.
_STRONGEST = 3


def sensitivity_blocks(study: Study, importances: Importances, writer: Writer) -> list[Block]:
    """Return everything that shows where knobs should stand; complete trials only."""
    trials = scored(study)
    matrix = design(trials, study.knobs)
    y = np.array([trial.value for trial in trials], dtype=float)
    surrogate = fit_surrogate(matrix, y)
    return [
        *_slices(study, trials, writer),
        *_pairs(study, trials, importances, surrogate, writer),
        *_interactions(matrix, y, writer),
        *_group_interactions(study, writer),
        *_ablation(study, surrogate, writer),
    ]


def _slices(study: Study, trials: Sequence[FrozenTrial], writer: Writer) -> list[Block]:
    found = [slice_of(trials, knob) for knob in study.knobs]
    found = [item for item in found if len(item.points)]
    if not found:
        return []
    scores = np.array([trial.value for trial in trials], dtype=float)
    margin = 0.05 * float(np.ptp(scores)) + 1e-3
    limits = (float(scores.min()) - margin, float(scores.max()) + margin)
    lead = Paragraph(
        "One knob at a time: each complete trial, and a local-linear smooth of them on the knob's own scale with its "
        "pointwise 95 % interval. The other knobs moved too: what they did is part of the scatter, not of the curve."
    )
    return [lead, Gallery(tuple(_slice_picture(item, limits, writer) for item in found))]


def _slice_picture(item: Slice, limits: tuple[float, float], writer: Writer) -> Picture:
    name, n = item.knob.name, plural(len(item.points), "complete trial")
    told = f"{n}, too few to smooth"
    if len(item.curve):
        top = item.curve.iloc[int(item.curve["mean"].astype(float).argmax())]
        value = f"{top['value']:.2g}" if isinstance(top["value"], float) else str(top["value"])
        told = f"highest smoothed mean {percent(top['mean'])} % at {value}, from {n}"
    return writer.picture(
        f"slice_{name}",
        draw_slice(item, limits=limits),
        item.frame(),
        alt=f"Validation balanced accuracy against {name}: {told}.",
        caption=f"{name}: {told}.",
    )


def _pairs(
    study: Study, trials: Sequence[FrozenTrial], importances: Importances, surrogate: Surrogate | None, writer: Writer
) -> list[Block]:
    everyone = importances.of("all")
    leading = leading_knobs(study.knobs, list(everyone["knob"]) if len(everyone) else [])
    grids = [grid for grid in pair_grids(trials, leading) if grid.n.any()]
    if not grids:
        return [Paragraph("No pair of knobs to show: that takes complete trials and two searched knobs.")]
    values = np.concatenate([grid.mean[grid.n > 0] for grid in grids])
    noise = training_noise(study)
    best = study.best.params if study.best else {}
    low, high, n_below = colour_limits(values)
    shared = Frame((low, high), noise, study.space.reference_point(), best, n_below)
    floor = (
        f" Training one configuration again with another seed moves this number by an sd of {percent(noise)} points "
        "(pooled over the confirmation's entries, and drawn on the colour bars): differences of that size between "
        "cells of few trials mean nothing."
        if noise == noise
        else ""
    )
    some = f" of {N_LEADING} of the knobs" if len(study.knobs) > N_LEADING else ""
    lead = Paragraph(
        f"Every pair{some}: each cell is the mean validation balanced accuracy of the "
        f"{plural(len(trials), 'complete trial')} that fell into it, with their number n. Blank cells hold no "
        "complete trial; nothing is interpolated. Cells are cut evenly on each knob's own scale, colours are the same "
        f"in all pairs.{_below(low, n_below)}{floor}{_believed(surrogate)}"
    )
    pictures = []
    for grid in grids:
        pictures.append(_observed(grid, shared, writer))
        if surrogate and {grid.x.knob.name, grid.y.knob.name} <= set(surrogate.matrix.names):
            pictures.append(_layer(surrogate, grid, shared, writer))
    return [lead, Gallery(tuple(pictures))]


def _below(low: float, n_below: int) -> str:
    if not n_below:
        return ""
    return (
        f" They end at {percent(low)} %: the last one also stands for {plural(n_below, 'cell')} far below all others."
    )


def _believed(surrogate: Surrogate | None) -> str:
    """What the second layer is, and how far to trust it."""
    if surrogate is None:
        return ""
    verdict = (
        "no better than their mean does: do not read it." if surrogate.r2 <= 0
        else "which is little: read it as a hint." if surrogate.r2 < 0.3
        else "the rest is noise or beyond it."
    )  # fmt: skip
    return (
        " Beside each stands what a forest fitted to the same trials predicts on average when the two are set and the "
        "other knobs stay as they were (partial dependence), blank where no trial supports it. On trials it has not "
        f"seen (five-fold cross-validation) the forest explains R² = {surrogate.r2:.2f} of the variance, {verdict}"
    )


def _observed(grid: PairGrid, shared: Frame, writer: Writer) -> Picture:
    x, y = grid.x.knob.name, grid.y.knob.name
    row, column = np.unravel_index(np.nanargmax(grid.mean), grid.mean.shape)
    top = f"{x} {grid.x.bounds(int(column))} and {y} {grid.y.bounds(int(row))}"
    return writer.picture(
        f"pair_{x}_{y}",
        draw_pair(grid, shared),
        grid.frame(),
        alt=(
            f"Heatmap of {y} against {x}; highest mean {percent(grid.mean[row, column])} % at {top} "
            f"(n = {grid.n[row, column]}); {int((grid.n == 0).sum())} of {grid.n.size} cells are blank."
        ),
        caption=f"{y} against {x}: observed.",
    )


def _layer(surrogate: Surrogate, grid: PairGrid, shared: Frame, writer: Writer) -> Picture:
    x, y = grid.x.knob.name, grid.y.knob.name
    layer = pair_surrogate(surrogate, grid)
    numbers = layer.frame()
    row, column = np.unravel_index(np.nanargmax(layer.mean), layer.mean.shape)
    top = f"{x} {layer.x.bounds(int(column))} and {y} {layer.y.bounds(int(row))}"
    return writer.picture(
        f"pair_{x}_{y}_surrogate",
        draw_surrogate(layer, shared),
        numbers.assign(cross_validated_r2=surrogate.r2),
        alt=f"Surrogate's heatmap of {y} against {x}; highest {percent(layer.mean[row, column])} % at {top}.",
        caption=f"{y} against {x}: surrogate, R² {surrogate.r2:.2f} on unseen trials.",
    )


def _interactions(matrix: Design, y: np.ndarray, writer: Writer) -> list[Block]:
    found = interactions(matrix, y)
    if found.frame.empty:
        if len(matrix.knobs) < 3:
            return []
        needed = f"{MIN_FREE} degrees of freedom beside the main effects; there are {max(0, found.free)}"
        return [Paragraph(f"No interaction strengths: they need {needed}.")]
    first = found.frame.iloc[0]
    pair = f"{first['x_knob']} and {first['y_knob']} ({percent(first['strength'], decimals=0)} % of the variance"
    clear = int((found.frame["p"] < 0.05).sum())
    told = f"strongest {pair}, p {first['p']:.3f}); {clear} of {plural(len(found.frame), 'pair')} at p below 0.05"
    return [
        writer.picture(
            "interactions",
            draw_interactions(found.frame, list(matrix.names)),
            found.frame,
            alt=f"Interaction strengths of all pairs of knobs: {told}.",
            caption=(
                "How much two knobs do together beyond what each does alone: the share of the variance of validation "
                "balanced accuracy that products of their Legendre polynomials (degree one and two) explain beside "
                f"all main effects, corrected for their number; {told}. A star marks p below 0.05, from permuted "
                "residuals and for the strongest of all pairs, so that the number of pairs is paid for."
            ),
        )
    ]


def _group_interactions(study: Study, writer: Writer) -> list[Block]:
    """The strongest pairs for each class group; the file holds all pairs."""
    matrix = design(study.complete, study.knobs)
    parts: list[pd.DataFrame] = []
    for target, values in targets(study).items():
        known = np.isfinite(values)
        if target != "all":
            rows = Design(matrix.knobs, matrix.x[known], matrix.present[known], ())
            parts.append(interactions(rows, values[known]).frame.assign(target=target))
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
                    percent(row["strength"]),
                    p_value(row["p"]),
                )
                for row in shown.to_dict("records")
            ],
            caption=(
                f"The {_STRONGEST} strongest pairs for the mean validation recall of each class group, measured in the "
                "same way; p pays for the number of pairs within a group, not for the number of groups. The file holds "
                "every pair."
            ),
        )
    ]


def _ablation(study: Study, surrogate: Surrogate | None, writer: Writer) -> list[Block]:
    if surrogate is None or study.best is None:
        return []
    path = ablation_path(study.space, surrogate, study.best.params)
    if len(path) < 2:
        return []
    rows = [
        (str(row["step"]), row["knob"] or "reference point", _value(row["before"]), _value(row["after"]),
         percent(row["predicted"]), points(row["change"]) if row["step"] else MISSING)
        for row in path.to_dict("records")
    ]  # fmt: skip
    return [
        writer.table(
            "ablation",
            path,
            columns=("step", "change of", "from", "to", "predicted val (%)", "points"),
            rows=rows,
            caption=(
                "From the reference point to the recommended trial, one knob at a time, always the change that the "
                f"forest above likes best next. It is the surrogate's opinion (R² {surrogate.r2:.2f} on unseen "
                "trials): no student was trained for it, and forests shrink extremes towards the mean. A conditional "
                "knob moves with its parent."
            ),
        )
    ]


def _value(value: object) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return MISSING
    return f"{value:.4g}" if isinstance(value, float) else str(value)
