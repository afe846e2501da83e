"""The section on knobs: the space, the importances, where each should stand, slices, pairs and interactions."""

import numpy as np
import pandas as pd

from analysis.page.document import Block, Section
from analysis.page.writer import Writer
from analysis.reading.knob_text import range_text, scale_text, unit_text
from analysis.reading.study_data import StudyData
from analysis.reading.wording import value_text
from analysis.search.forests import fit_surrogate
from analysis.search.importance import Importances
from analysis.search.slices import slices_of
from analysis.search.trial_matrix import scored, trial_matrix
from analysis.sections.knobs.importance import importance_blocks
from analysis.sections.knobs.interactions import interaction_blocks
from analysis.sections.knobs.pairs import pair_blocks
from analysis.sections.knobs.slices import slice_blocks
from analysis.sections.knobs.standing import standing_blocks


def knobs_section(study: StudyData, importances: Importances, writer: Writer) -> Section:
    """Return the space's table, the importances, the standing, slices, pairs and interactions."""
    trials = scored(study)
    matrix = trial_matrix(trials, study.knobs)
    y = np.array([trial.value for trial in trials], dtype=float)
    surrogate, slices = fit_surrogate(matrix, y), slices_of(trials, study.knobs)
    blocks = [
        _space_table(study, writer),
        *importance_blocks(importances, writer),
        *standing_blocks(study, slices, importances, writer),
        *slice_blocks(slices, trials, writer),
        *pair_blocks(study, trials, importances, surrogate, writer),
        *interaction_blocks(study, matrix, y, writer),
    ]
    return Section("knobs", "Which knobs matter", tuple(blocks))


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
