"""Heatmaps of pairs of knobs in two layers: means of complete trials, and a surrogate."""

from collections.abc import Sequence

import numpy as np
from optuna.trial import FrozenTrial

from analysis.figures.pairs import PairScale, colour_limits, draw_pair, draw_surrogate
from analysis.page.document import Block, Gallery, Paragraph, Picture
from analysis.page.writer import Writer
from analysis.reading.knob_text import N_LEADING, leading_knobs
from analysis.reading.study_data import StudyData
from analysis.reading.wording import percent, plural
from analysis.results.accuracies import training_noise
from analysis.search.forests import Surrogate
from analysis.search.importance import Importances
from analysis.search.pair_grids import PairGrid, pair_grids, pair_surrogate


def pair_blocks(
    study: StudyData,
    trials: Sequence[FrozenTrial],
    importances: Importances,
    surrogate: Surrogate | None,
    writer: Writer,
) -> list[Block]:
    """Return the heatmaps of every pair of leading knobs: observed means and the surrogate."""
    everyone = importances.of("all")
    leading = leading_knobs(study.knobs, list(everyone["knob"]) if len(everyone) else [])
    grids = [grid for grid in pair_grids(trials, leading) if grid.n.any()]
    if not grids:
        return [Paragraph("No pair of knobs to show: a pair needs complete trials and two searched knobs.")]
    values = np.concatenate([grid.mean[grid.n > 0] for grid in grids])
    noise = training_noise(study)
    best = study.best.params if study.best else {}
    low, high, n_below = colour_limits(values)
    shared = PairScale((low, high), noise, study.space.reference_point(), best, n_below)
    floor = (
        f" Training one configuration again with another seed moves this number by an sd of {percent(noise)} points "
        "(pooled over the confirmation's entries, and drawn on the colour bars). Differences of that size between "
        "cells of few trials mean nothing."
        if noise == noise
        else ""
    )
    some = f" of {N_LEADING} of the knobs" if len(study.knobs) > N_LEADING else ""
    lead = Paragraph(
        f"Every pair{some}: each cell is the mean validation balanced accuracy of the "
        f"{plural(len(trials), 'complete trial')} in it, with their number n. Blank cells hold no "
        "complete trial; nothing is interpolated. Cells divide each knob's own scale evenly, and colours are the same "
        f"in all pairs.{_below(low, n_below)}{floor}{_surrogate_text(surrogate)}"
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
    cells = plural(n_below, "cell")
    return f" The colours end at {percent(low)} %: the last colour also stands for {cells} far below all others."


def _surrogate_text(surrogate: Surrogate | None) -> str:
    """Say what the second layer is, and how far to trust it."""
    if surrogate is None:
        return ""
    verdict = (
        "no better than the mean: do not read it." if surrogate.r2 <= 0
        else "which is little: read it as a hint." if surrogate.r2 < 0.3
        else "the rest is noise or beyond this model."
    )  # fmt: skip
    return (
        " Beside each pair stands the partial dependence of a forest fitted to the same trials: its mean prediction "
        "with the two knobs set and the other knobs as in the trials. It is blank where a cell has no trial. On unseen "
        f"trials (five-fold cross-validation) the forest explains R² = {surrogate.r2:.2f} of the variance, {verdict}"
    )


def _observed(grid: PairGrid, shared: PairScale, writer: Writer) -> Picture:
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


def _layer(surrogate: Surrogate, grid: PairGrid, shared: PairScale, writer: Writer) -> Picture:
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
