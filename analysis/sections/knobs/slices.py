"""One knob at a time: its trials and its effect."""

from collections.abc import Sequence
from functools import partial

from optuna.trial import FrozenTrial

from analysis.figures.slices import draw_slice
from analysis.page.document import Block, Gallery, Paragraph, Picture, fold
from analysis.page.style import robust_limits
from analysis.page.writer import Writer
from analysis.reading.wording import EXACT, percent, plural, value_text
from analysis.search.slices import Slice
from analysis.search.trial_matrix import value_of

#: Knobs whose slices stand in the open, where so few or none are shown to matter.
_LEAST_SHOWN = 3


def slice_blocks(
    found: Sequence[Slice], trials: Sequence[FrozenTrial], ranking: Sequence[str], n_named: int, writer: Writer
) -> list[Block]:
    """Return one figure per slice, those of the clearest knobs in the open; nothing without complete trials.

    Args:
        found: the slices.
        trials: the complete trials.
        ranking: names of knobs, the clearest first.
        n_named: how many of them are shown to matter.
        writer: of the report.
    """
    if not found:
        return []
    limits = robust_limits(value_of(trial) for trial in trials)
    places = {name: place for place, name in enumerate(ranking)}
    in_order = sorted(found, key=lambda item: places.get(item.knob.name, len(places)))
    pictures = tuple(_slice_picture(item, limits, writer) for item in in_order)
    n_shown = max(n_named, _LEAST_SHOWN)
    lead = Paragraph(
        "One knob at a time: each complete trial, and the knob's effect with its pointwise 95 % interval. The effects "
        "of the other knobs are taken out of the curve, not of the trials. The band holds the chance that the curve "
        "bends between the trials; beside a cliff it may jump. A trial that all others contradict is "
        "drawn in for the curve. An arrow stands for a trial beyond the axis."
    )
    others = [Gallery(pictures[n_shown:])] if pictures[n_shown:] else []
    return [
        lead,
        Gallery(pictures[:n_shown]),
        *fold(f"The same for {plural(len(pictures[n_shown:]), 'further knob')}", others),
    ]


def _slice_picture(item: Slice, limits: tuple[float, float], writer: Writer) -> Picture:
    name, n = item.knob.name, plural(len(item.points), "complete trial")
    summary = f"{n}, too few for a curve"
    if item.effect is not None:
        value = value_text(item.effect.best_value(item.knob), digits=EXACT)
        summary = f"highest {percent(item.effect.curve.mean.max())} % at {value}, from {n}"
    return writer.picture(
        f"slice_{name}",
        partial(draw_slice, item, limits=limits),
        item.frame(),
        alt=f"Validation balanced accuracy against {name}: {summary}.",
        caption=f"{name}: {summary}.",
    )
