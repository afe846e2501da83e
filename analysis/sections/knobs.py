"""Which knobs matter: the space, the importances, and where each knob and each pair should stand."""

from itertools import chain

import pandas as pd

from analysis.page.document import Block, Section
from analysis.page.writer import Writer
from analysis.reading.knob_text import range_text, scale_text, unit_text
from analysis.reading.study_data import Study
from analysis.search.importance import Importances
from analysis.sections.importance import importance_blocks
from analysis.sections.pairs import sensitivity_blocks


def knobs_section(study: Study, importances: Importances, writer: Writer) -> Section:
    """Return the space's table, the importances, slices, pairs, interactions and the path to the best."""
    blocks = chain(
        [_space_table(study, writer)],
        importance_blocks(importances, writer),
        sensitivity_blocks(study, importances, writer),
    )
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
