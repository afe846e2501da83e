"""One heatmap per group of classes for which a knob is shown to matter: its recall over that knob and the next one."""

from copy import copy
from functools import partial

import numpy as np
from optuna.trial import FrozenTrial

from analysis.figures.pairs import PairScale, colour_limits, draw_pair
from analysis.page.document import Picture
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import GROUP_HEADINGS
from analysis.search.importance import Importances
from analysis.search.pair_surfaces import PairSurface, pair_surface
from analysis.search.surrogate import Shape, Surrogate, fit_surrogate
from analysis.search.trial_matrix import targets
from analysis.sections.knobs.pairs import highest_text


def group_pictures(study: StudyData, importances: Importances, writer: Writer) -> list[Picture]:
    """Return the heatmaps, the group that a knob moves most first; none where the model explains nothing."""
    strongest = {effect.group: effect.falls for effect in sorted(importances.groups, key=lambda effect: effect.falls)}
    pictures = []
    for group in sorted(strongest, key=lambda group: -strongest[group]):
        trials, named = _judged_by(study, group), [found.knob for found in importances.groups if found.group == group]
        surrogate = fit_surrogate(trials, study.knobs, Shape(tuple(named)), {})
        if surrogate is None or surrogate.r2 <= 0:
            continue
        x, *others = dict.fromkeys([*named, *importances.of(group)["knob"]])
        surfaces = (pair_surface(surrogate, trials, x, y) for y in others)
        if surface := next((found for found in surfaces if found), None):
            pictures.append(_picture(study, surface, surrogate, GROUP_HEADINGS[group], writer))
    return pictures


def _judged_by(study: StudyData, group: str) -> list[FrozenTrial]:
    """Return copies of the complete trials whose value is the group's validation recall; without one a trial is out."""
    found = []
    for trial, value in zip(study.complete, targets(study)[group], strict=True):
        if np.isfinite(value):
            judged = copy(trial)
            judged.values = [float(value)]
            found.append(judged)
    return found


def _picture(study: StudyData, surface: PairSurface, surrogate: Surrogate, heading: str, writer: Writer) -> Picture:
    shared = PairScale(
        colour_limits([surface], with_surface=True),
        np.nan,
        study.space.reference_point(),
        study.best.params if study.best else {},
        True,
        f"validation recall of {heading} (%)",
    )
    x, y = surface.x.knob.name, surface.y.knob.name
    summary = highest_text(surface)
    return writer.picture(
        f"pair_{heading.lower()}_{x}_{y}",
        partial(draw_pair, surface, shared),
        surface.frame().assign(cross_validated_r2=surrogate.r2),
        alt=f"Heatmap of the validation recall of {heading} over {x} and {y}: {summary}.",
        caption=(
            f"{heading} alone, {y} against {x}: {summary}. The model explains R² = {surrogate.r2:.2f} of this recall's "
            "variance on trials that it has not seen."
        ),
    )
