"""The sections on knobs: where each should stand, with the clearest heatmap; and which matter."""

import numpy as np
import pandas as pd

from analysis.page.document import Block, Gallery, Picture, Section, fold
from analysis.page.writer import Writer
from analysis.reading.knob_text import range_text, scale_text, unit_text
from analysis.reading.study_data import StudyData
from analysis.reading.wording import value_text
from analysis.search.importance import Importances
from analysis.search.interactions import interactions
from analysis.search.slices import slices_of
from analysis.search.surrogate import Shape, fit_surrogate
from analysis.search.trial_matrix import scored, trial_matrix
from analysis.sections.knobs.group_pairs import group_pictures
from analysis.sections.knobs.importance import importance_blocks
from analysis.sections.knobs.interactions import interaction_blocks
from analysis.sections.knobs.pairs import pair_blocks, pair_pictures
from analysis.sections.knobs.slices import slice_blocks
from analysis.sections.knobs.standing import standing_blocks


def knob_sections(study: StudyData, importances: Importances, writer: Writer) -> tuple[Section | None, Section]:
    """Return where each knob should stand, with one heatmap, and all that the trials say of knobs.

    The first is None where the trials are too few for an answer.
    """
    trials = scored(study)
    matrix, slices = trial_matrix(trials, study.knobs), slices_of(trials, study.knobs)
    found = interactions(matrix, np.array([trial.value for trial in trials], dtype=float))
    everyone, named = importances.of("all"), importances.named("all")
    ranking = list(everyone["knob"]) if len(everyone) else []
    runs = study.finalists.dropna(subset="val_balanced_accuracy").groupby("trial")["val_balanced_accuracy"]
    fresh = {int(str(trial)): list(values) for trial, values in runs}
    surrogate = fit_surrogate(study.trials, study.knobs, Shape(tuple(named), found.clear), fresh)
    heatmaps = pair_pictures(study, trials, surrogate, ranking, named, found.clear, writer)
    standing = standing_blocks(study, slices, importances, writer)
    of_groups = group_pictures(study, importances, writer)
    first: list[Picture] = []
    of_all = not (of_groups and surrogate is not None and surrogate.r2 <= 0)
    if standing and of_all:
        first, heatmaps = heatmaps[:1], heatmaps[1:]
    elif standing:
        first, of_groups = of_groups[:1], of_groups[1:]  # all classes together have no surface to show
    blocks = (
        *importance_blocks(importances, writer),
        *slice_blocks(slices, trials, ranking, len(named), writer),
        *pair_blocks(study, surrogate, heatmaps, one_above=bool(first) and of_all),
        *fold("Heatmaps of groups of classes", [Gallery(tuple(of_groups))] if of_groups else []),
        *interaction_blocks(study, matrix, found, writer),
        *fold("The searched space: every knob with its range and the reason", [_space_table(study, writer)]),
    )
    stand = Section("standing", "Where each knob should stand", (*standing, *first)) if standing else None
    return stand, Section("knobs", "Which knobs matter", blocks)


def _space_table(study: StudyData, writer: Writer) -> Block:
    best = study.best.params if study.best else {}
    rows = [
        (
            knob.name,
            range_text(knob),
            scale_text(knob),
            unit_text(knob),
            value_text(knob.reference),
            value_text(best.get(knob.name)),
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
