"""Heatmaps of pairs of knobs: the surrogate's surface with every trial as a dot."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from analysis.figures.pairs import PairScale, colour_limits, draw_pair
from analysis.page.document import Block, Gallery, Paragraph, Picture
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import percent, plural, value_text
from analysis.results.accuracies import training_noise
from analysis.search.pair_surfaces import PairSurface, pair_surface, shown_pairs
from analysis.search.surrogate import MIN_TRIALS, Surrogate

#: R2 on unseen trials below which a surface is a hint.
_HINT = 0.3


def pair_pictures(
    study: StudyData,
    trials: Sequence[FrozenTrial],
    surrogate: Surrogate | None,
    ranking: Sequence[str],
    named: Sequence[str],
    interacting: Sequence[tuple[str, str]],
    writer: Writer,
) -> tuple[list[Picture], list[Picture]]:
    """Return the heatmaps that stand in the report's order, the clearest pair first, and those that are folded away."""
    if surrogate is None:
        return [], []
    large, small = (
        [found for pair in pairs if (found := pair_surface(surrogate, trials, *pair))]
        for pairs in shown_pairs(study.knobs, ranking, named, interacting)
    )
    if not large and not small:
        return [], []
    with_surface = surrogate.r2 > 0
    shared = PairScale(
        colour_limits([*large, *small], with_surface=with_surface),
        training_noise(study),
        study.space.reference_point(),
        study.best.params if study.best else {},
        with_surface,
    )
    pictures = [_picture(surface, shared, surrogate, writer) for surface in (*large, *small)]
    return pictures[: len(large)], pictures[len(large) :]


def pair_blocks(
    study: StudyData, surrogate: Surrogate | None, shown: Sequence[Picture], folded: Sequence[Picture]
) -> list[Block]:
    """Return what the heatmaps show, and the heatmaps: `shown` ones in the open, others `folded` away."""
    if surrogate is None:
        return [Paragraph(f"No heatmaps: they need {MIN_TRIALS} complete trials that differ.")]
    if not shown and not folded:
        return [Paragraph("No pair of knobs to show: a pair needs trials that have two searched knobs.")]
    noise = training_noise(study)
    seeds = (
        f" Training one configuration again with another seed moves this number by an sd of {percent(noise)} points, "
        "pooled over the confirmation's entries. A dotted line holds the cells within this distance of the best one."
        if noise == noise and surrogate.r2 > 0
        else ""
    )
    return [
        Paragraph(
            "Pairs of knobs: the colours are validation balanced accuracy, the effects of all other knobs taken out. "
            "Each dot is a complete trial. Cells with fewer trials near them are paler. The black line holds the cells "
            f"that are not told from the best one.{seeds}"
        ),
        Paragraph(_judged(surrogate)),
        *([Gallery(tuple(shown))] if shown else []),
        *([Gallery(tuple(folded), title=f"Heatmaps of {plural(len(folded), 'further pair')}")] if folded else []),
    ]


def _judged(surrogate: Surrogate) -> str:
    """Say what the surface is made of, and how far to trust it."""
    verdict = (
        "no more than their mean does, so no surface is drawn." if surrogate.r2 <= 0
        else "which is little: read the surface as a hint." if surrogate.r2 < _HINT
        else "the rest is noise or beyond this model."
    )  # fmt: skip
    beside = [
        plural(n, noun) for n, noun in ((surrogate.n_pruned, "pruned trial"), (surrogate.n_fresh, "fresh run")) if n
    ]
    more = f" and {' and '.join(beside)}" if beside else ""
    return (
        f"The surface is one model of all knobs, fitted to {plural(len(surrogate.residuals), 'complete trial')}{more}. "
        "It adds up the knobs' effects and the products of pairs that interact. On trials that it has not seen it "
        f"explains R² = {surrogate.r2:.2f} of the variance, {verdict}"
    )


def _picture(surface: PairSurface, shared: PairScale, surrogate: Surrogate, writer: Writer) -> Picture:
    x, y = surface.x.knob.name, surface.y.knob.name
    n = plural(len(surface.points), "complete trial")
    at = [value_text(value, digits=2) for value in surface.best]
    summary = (
        f"highest {percent(surface.mean.max())} % at {x} {at[0]} and {y} {at[1]}, from {n}"
        if shared.with_surface
        else f"{n}; no surface, because the model explains nothing on unseen trials"
    )
    return writer.picture(
        f"pair_{x}_{y}",
        draw_pair(surface, shared),
        surface.frame().assign(cross_validated_r2=surrogate.r2),
        alt=f"Heatmap of validation balanced accuracy over {x} and {y}: {summary}.",
        caption=f"{y} against {x}: {summary}.",
    )
