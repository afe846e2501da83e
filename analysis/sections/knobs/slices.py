"""One knob at a time: its trials and its effect."""

from collections.abc import Sequence

import numpy as np
from optuna.trial import FrozenTrial

from analysis.figures.slices import draw_slice
from analysis.page.document import Block, Gallery, Paragraph, Picture
from analysis.page.writer import Writer
from analysis.reading.wording import percent, plural
from analysis.search.slices import Slice


def slice_blocks(found: Sequence[Slice], trials: Sequence[FrozenTrial], writer: Writer) -> list[Block]:
    """Return one figure per slice; nothing without complete trials."""
    if not found:
        return []
    scores = np.array([trial.value for trial in trials], dtype=float)
    margin = 0.05 * float(np.ptp(scores)) + 1e-3
    limits = (float(scores.min()) - margin, float(scores.max()) + margin)
    lead = Paragraph(
        "One knob at a time: each complete trial, and the knob's effect with its pointwise 95 % interval. The effects "
        "of the other knobs are taken out of the curve, not of the trials. The band holds the chance that the curve "
        "bends between the trials; beside a cliff it may jump. A trial that all others contradict is "
        "drawn in for the curve."
    )
    return [lead, Gallery(tuple(_slice_picture(item, limits, writer) for item in found))]


def _slice_picture(item: Slice, limits: tuple[float, float], writer: Writer) -> Picture:
    name, n = item.knob.name, plural(len(item.points), "complete trial")
    summary = f"{n}, too few for a curve"
    if len(item.curve):
        top = item.curve.iloc[int(item.curve["mean"].astype(float).argmax())]
        value = f"{top['value']:.2g}" if isinstance(top["value"], float) else str(top["value"])
        summary = f"highest {percent(top['mean'])} % at {value}, from {n}"
    return writer.picture(
        f"slice_{name}",
        draw_slice(item, limits=limits),
        item.frame(),
        alt=f"Validation balanced accuracy against {name}: {summary}.",
        caption=f"{name}: {summary}.",
    )
