"""Which knobs matter: the space, each pair of core knobs as a heatmap, and the importances."""

from itertools import chain

import numpy as np
import pandas as pd

from analysis.document import Block, Gallery, Paragraph, Picture, Section
from analysis.figures.pairs import draw_pair
from analysis.importance import Importances
from analysis.knobs import core_knobs, range_text, scale_text, unit_text
from analysis.ladder import training_noise
from analysis.sections.importance import importance_blocks
from analysis.sensitivity import PairGrid, pair_grids
from analysis.tables import Study
from analysis.wording import percent, plural
from analysis.writer import Writer


def knobs_section(study: Study, importances: Importances, writer: Writer) -> Section:
    """Return the space's table, the importances and the pair heatmaps."""
    blocks = chain([_space_table(study, writer)], importance_blocks(importances, writer), _pairs(study, writer))
    return Section("knobs", "Which knobs matter", tuple(blocks))


def _space_table(study: Study, writer: Writer) -> Block:
    best = study.best.params if study.best else {}
    rows = [
        (
            knob.name,
            range_text(knob),
            scale_text(knob),
            unit_text(knob),
            _value(knob.reference),
            _value(best.get(knob.name, "–")),
            knob.reason,
        )
        for knob in study.knobs
    ]
    columns = ("knob", "searched", "scale", "unit", "reference", "best", "why this range")
    return writer.table(
        "space",
        pd.DataFrame(rows, columns=list(columns)),
        columns=columns,
        rows=rows,
        wordy=True,
        caption=(
            f"The space {study.space.name}: {study.space.purpose} 'Best' is the recommended trial; a dash "
            "means that the knob was not active in it."
        ),
    )


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _pairs(study: Study, writer: Writer) -> list[Block]:
    grids = pair_grids(study.complete, core_knobs(study.knobs))
    filled = [grid.mean[grid.n > 0] for grid in grids if grid.n.any()]
    if not filled:
        return [Paragraph("No pair of knobs to show: that takes complete trials and two searched knobs.")]
    values = np.concatenate(filled)
    limits = (float(values.min()), float(values.max()) + 1e-4)
    noise = training_noise(study)
    floor = (
        f" Training one configuration again with another seed moves this number by an sd of {percent(noise)} points "
        "(pooled over the confirmation's entries): differences of that size between cells of few trials mean nothing."
        if noise == noise
        else ""
    )
    lead = Paragraph(
        f"Each cell is the mean validation balanced accuracy of the {plural(len(study.complete), 'complete trial')} "
        "that fell into it, with their number n. Blank cells hold no complete trial; nothing is interpolated. Cells "
        f"are cut evenly on each knob's own scale, colours are the same in all pairs.{floor}"
    )
    pictures = tuple(_pair_picture(study, grid, limits, writer) for grid in grids if grid.n.any())
    return [lead, Gallery(pictures)]


def _pair_picture(study: Study, grid: PairGrid, limits: tuple[float, float], writer: Writer) -> Picture:
    x, y = grid.x.knob.name, grid.y.knob.name
    row, column = np.unravel_index(np.nanargmax(grid.mean), grid.mean.shape)
    top = f"{x} {grid.x.bounds(int(column))} and {y} {grid.y.bounds(int(row))}"
    best = study.best.params if study.best else {}
    return writer.picture(
        f"pair_{x}_{y}",
        draw_pair(grid, limits=limits, reference=study.space.reference_point(), best=best),
        grid.frame(),
        alt=(
            f"Heatmap of {y} against {x}; highest mean {percent(grid.mean[row, column])} % at {top} "
            f"(n = {grid.n[row, column]}); {int((grid.n == 0).sum())} of {grid.n.size} cells are blank."
        ),
        caption=f"{y} against {x}.",
    )
