"""Heatmaps of pairs of knobs: the surrogate's surface with every trial as a dot."""

from collections.abc import Sequence
from functools import partial

from optuna.trial import FrozenTrial

from analysis.figures.pairs import PairScale, colour_limits, draw_pair
from analysis.page.document import Block, Gallery, Paragraph, Picture, fold
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import EXACT, percent, plural, value_text
from analysis.results.accuracies import training_noise
from analysis.search.pair_surfaces import PairSurface, pair_surface, shown_pairs
from analysis.search.surrogate import MIN_TRIALS, Surrogate

#: R2 on unseen trials below which a surface is a hint.
_HINT = 0.3

#: Heatmaps that stand in the open.
_MOST_SHOWN = 3


def pair_pictures(
    study: StudyData,
    trials: Sequence[FrozenTrial],
    surrogate: Surrogate | None,
    ranking: Sequence[str],
    named: Sequence[str],
    interacting: Sequence[tuple[str, str]],
    writer: Writer,
) -> list[Picture]:
    """Return the heatmaps, the clearest pair first; nothing without a surrogate."""
    if surrogate is None:
        return []
    large, small = shown_pairs(study.knobs, ranking, named, interacting)
    surfaces = [found for pair in (*large, *small) if (found := pair_surface(surrogate, trials, *pair))]
    if not surfaces:
        return []
    with_surface = surrogate.r2 > 0
    shared = PairScale(
        colour_limits(surfaces, with_surface=with_surface),
        training_noise(study),
        study.space.reference_point(),
        study.best.params if study.best else {},
        with_surface,
    )
    return [_picture(surface, shared, surrogate, writer) for surface in surfaces]


def pair_blocks(
    study: StudyData, surrogate: Surrogate | None, pictures: Sequence[Picture], *, one_above: bool
) -> list[Block]:
    """Return what the heatmaps show, and the heatmaps: the clearest pairs in the open, the others folded away.

    Args:
        study: the study.
        surrogate: what the heatmaps show; None where the trials are too few.
        pictures: the heatmaps that stand here.
        one_above: whether the clearest one stands in an earlier section.
    """
    if surrogate is None:
        return [Paragraph(f"No heatmaps: they need {MIN_TRIALS} complete trials that differ.")]
    if not pictures and not one_above:
        return [Paragraph("No pair of knobs to show: a pair needs trials that have two searched knobs.")]
    noise, others = training_noise(study), tuple(pictures[_MOST_SHOWN:])
    surface = (
        " Cells with fewer trials near them are paler. The black line holds the cells that are not told from the best "
        "one."
        if surrogate.r2 > 0
        else ""
    )
    seeds = (
        f" Training one configuration again with another seed moves this number by an sd of {percent(noise)} points, "
        "pooled over the confirmation's entries. A dotted line holds the cells within this distance of the best one."
        if noise == noise and surrogate.r2 > 0
        else ""
    )
    above = " The clearest pair stands above, where each knob should stand." if one_above else ""
    return [
        Paragraph(
            "Pairs of knobs: the colours are validation balanced accuracy, the effects of all other knobs taken out. "
            f"Each dot is a complete trial.{surface}{seeds}{above}"
        ),
        Paragraph(_judged(surrogate)),
        *([Gallery(tuple(pictures[:_MOST_SHOWN]))] if pictures else []),
        *fold(f"Heatmaps of {plural(len(others), 'further pair')}", [Gallery(others)] if others else []),
    ]


def _judged(surrogate: Surrogate) -> str:
    """Say what the surface is made of, and how far to trust it."""
    verdict = (
        "That is no more than their mean explains, so no surface is drawn." if surrogate.r2 <= 0
        else "That is little: read the surface as a hint." if surrogate.r2 < _HINT
        else "The rest is noise or beyond this model."
    )  # fmt: skip
    beside = [
        plural(n, noun) for n, noun in ((surrogate.n_pruned, "pruned trial"), (surrogate.n_fresh, "fresh run")) if n
    ]
    more = f" and {' and '.join(beside)}" if beside else ""
    r2 = f"{surrogate.r2:z.2f}".replace("-", "−")
    return (
        f"The surface is one model of all knobs, fitted to {plural(len(surrogate.residuals), 'complete trial')}{more}. "
        "It adds up the knobs' effects and the products of pairs that interact. On trials that it has not seen it "
        f"explains R² = {r2} of the variance. {verdict}"
    )


def _picture(surface: PairSurface, shared: PairScale, surrogate: Surrogate, writer: Writer) -> Picture:
    x, y = surface.x.knob.name, surface.y.knob.name
    n = plural(len(surface.points), "complete trial")
    nothing = f"{n}; no surface, because the model explains nothing on unseen trials"
    summary = highest_text(surface) if shared.with_surface else nothing
    return writer.picture(
        f"pair_{x}_{y}",
        partial(draw_pair, surface, shared),
        surface.frame().assign(cross_validated_r2=surrogate.r2),
        alt=f"Heatmap of validation balanced accuracy over {x} and {y}: {summary}.",
        caption=f"{y} against {x}: {summary}.",
    )


def highest_text(surface: PairSurface) -> str:
    """Say how high the surface is, where, and from how many trials."""
    x, y = (value_text(value, digits=EXACT) for value in surface.best)
    return (
        f"highest {percent(surface.mean.max())} % at {surface.x.knob.name} {x} and {surface.y.knob.name} {y}, from "
        f"{plural(len(surface.points), 'complete trial')}"
    )
