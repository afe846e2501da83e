"""The ladder: every entry's accuracy by class group, and its gains over la, paired by seed."""

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.reading.study_data import StudyData
from analysis.results.accuracies import COLUMNS, scores
from analysis.results.comparisons import paired_gain, unit_values
from analysis.results.entries import OVER, TEACHER, entries_in_order
from analysis.stats.paired_tests import PairedInterval, Spread, spread


@dataclass(frozen=True)
class LadderRow:
    """One entry, over the seeds of the study's own subset; where claims rest on subsets, over subsets.

    Attributes:
        n_subsets: subsets of the long tail with a run of this entry.
        n_seeds: seeds of the subset that has most of them.
        cells: column of COLUMNS -> its spread.
        gains: name of another present entry of OVER -> All minus its All; empty for the teacher.
        selected_on: the set on which the configuration was chosen.
    """

    entry: str
    n_subsets: int
    n_seeds: int
    cells: Mapping[str, Spread]
    gains: Mapping[str, PairedInterval]
    selected_on: str


def ladder(study: StudyData) -> tuple[LadderRow, ...]:
    """Return one row per entry: the teacher, the ladder's rungs from the lowest, then the searched entries."""
    table = scores(study)
    selected = study.confirm.groupby("entry")["selected_on"].first()
    present = entries_in_order(table["entry"])
    return tuple(
        LadderRow(
            entry=entry,
            n_subsets=rows["data_seed"].nunique(),
            n_seeds=int(rows["data_seed"].value_counts().max()),
            cells={column: spread(unit_values(table, entry, column)) for column in COLUMNS},
            gains={
                name: paired_gain(table, entry, name)
                for name in OVER
                if name in present and entry not in (name, TEACHER)
            },
            selected_on=str(selected[entry]),
        )
        for entry in present
        for rows in [table[table["entry"] == entry]]
    )
