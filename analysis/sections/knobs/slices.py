"""One knob at a time: its slice through the trials, and its step on the path to the best."""

from collections.abc import Sequence

import numpy as np
from optuna.trial import FrozenTrial

from analysis.figures.slices import draw_slice
from analysis.page.document import Block, Gallery, Paragraph, Picture
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, percent, plural, points, value_text
from analysis.search.forests import Surrogate
from analysis.search.path_to_best import ablation_path
from analysis.search.slices import Slice, slice_of


def slice_blocks(study: StudyData, trials: Sequence[FrozenTrial], writer: Writer) -> list[Block]:
    """Return one slice per knob; nothing without complete trials."""
    found = [slice_of(trials, knob) for knob in study.knobs]
    found = [item for item in found if len(item.points)]
    if not found:
        return []
    scores = np.array([trial.value for trial in trials], dtype=float)
    margin = 0.05 * float(np.ptp(scores)) + 1e-3
    limits = (float(scores.min()) - margin, float(scores.max()) + margin)
    lead = Paragraph(
        "One knob at a time: each complete trial, and a local-linear smooth of them on the knob's own scale with its "
        "pointwise 95 % interval. The other knobs vary too: their effect is part of the scatter, not of the curve."
    )
    return [lead, Gallery(tuple(_slice_picture(item, limits, writer) for item in found))]


def _slice_picture(item: Slice, limits: tuple[float, float], writer: Writer) -> Picture:
    name, n = item.knob.name, plural(len(item.points), "complete trial")
    summary = f"{n}, too few to smooth"
    if len(item.curve):
        top = item.curve.iloc[int(item.curve["mean"].astype(float).argmax())]
        value = f"{top['value']:.2g}" if isinstance(top["value"], float) else str(top["value"])
        summary = f"highest smoothed mean {percent(top['mean'])} % at {value}, from {n}"
    return writer.picture(
        f"slice_{name}",
        draw_slice(item, limits=limits),
        item.frame(),
        alt=f"Validation balanced accuracy against {name}: {summary}.",
        caption=f"{name}: {summary}.",
    )


def path_blocks(study: StudyData, surrogate: Surrogate | None, writer: Writer) -> list[Block]:
    """Return the greedy path from the reference point to the best; nothing without a surrogate or a best trial."""
    if surrogate is None or study.best is None:
        return []
    path = ablation_path(study.space, surrogate, study.best.params)
    if len(path) < 2:
        return []
    rows = [
        (str(row["step"]), row["knob"] or "reference point", value_text(row["before"]), value_text(row["after"]),
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
                "From the reference point to the recommended trial, one knob at a time: each step is the change with "
                f"the highest prediction of the forest above. It is a prediction (R² {surrogate.r2:.2f} on unseen "
                "trials): no student was trained for it, and forests shrink extremes towards the mean. A conditional "
                "knob moves with its parent."
            ),
        )
    ]
