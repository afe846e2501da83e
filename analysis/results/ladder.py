"""The ladder: every entry's accuracy by class group, and its gains over la, paired by seed."""

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING
from analysis.results.accuracies import COLUMNS, claim_basis, counted_runs, scores
from analysis.results.comparisons import paired_gain, unit_values
from analysis.results.entries import OVER, TEACHER, entries_in_order
from analysis.stats.paired_tests import PairedInterval, Spread, spread

#: What a table says below a row with a diverged run.
DIVERGED_TEXT = "A diverged run counts with an accuracy by chance."


@dataclass(frozen=True)
class LadderRow:
    """One entry, over the seeds of the study's own subset; where claims rest on subsets, over subsets.

    Attributes:
        n_subsets: subsets of the long tail with a run of this entry.
        n_seeds: seeds of the subset that has most of them, diverged runs included.
        n_diverged: runs among them all that diverged and count at chance.
        n_missing: planned runs on the study's own subset that are not there; 0 for the teacher.
        cells: column of COLUMNS -> its spread.
        gains: name of another present entry of OVER -> All minus its All; empty for the teacher.
        selected_on: the set on which the configuration was chosen.
    """

    entry: str
    n_subsets: int
    n_seeds: int
    n_diverged: int
    n_missing: int
    cells: Mapping[str, Spread]
    gains: Mapping[str, PairedInterval]
    selected_on: str

    @property
    def runs_text(self) -> str:
        """Return e.g. '6', '6 × 2 (1 diverged)' for subsets and seeds, or a dash for a teacher of one subset."""
        if self.entry == TEACHER and self.n_subsets < 2:
            return MISSING
        seeds = f"{self.n_subsets} × {self.n_seeds}" if self.n_subsets > 1 else str(self.n_seeds)
        notes = [f"{n} {what}" for n, what in ((self.n_diverged, "diverged"), (self.n_missing, "missing")) if n]
        return f"{seeds} ({', '.join(notes)})" if notes else seeds


def ladder(study: StudyData) -> tuple[LadderRow, ...]:
    """Return one row per entry: the teacher, the ladder's rungs from the lowest, then the searched entries."""
    table, diverged = scores(study), claim_basis(study).diverged
    planned = study.manifest["plan"].get("confirm_seeds")
    own = table.loc[table["data_seed"] == 0, "entry"].value_counts()
    selected = counted_runs(claim_basis(study)).groupby("entry")["selected_on"].first()
    present = entries_in_order(table["entry"])
    return tuple(
        LadderRow(
            entry=entry,
            n_subsets=rows["data_seed"].nunique(),
            n_seeds=int(rows["data_seed"].value_counts().max()),
            n_diverged=int((diverged["entry"] == entry).sum()),
            n_missing=max(0, planned - int(own.get(entry, 0))) if type(planned) is int and entry != TEACHER else 0,
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
