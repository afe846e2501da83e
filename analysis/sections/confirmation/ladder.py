"""The ladder: the test accuracy of each entry by class group with its gains over la, and its other measures."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from analysis.page.document import ReportTable
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, mean_sd, points, span
from analysis.results.accuracies import COLUMNS, OTHERS_TEXT, claims_by_subset
from analysis.results.entries import BEST, LA_TUNED, TEACHER
from analysis.results.ladder import DIVERGED_TEXT, LadderRow
from analysis.stats.paired_tests import PairedInterval, paired_interval
from study.schema import GROUPS


def ladder_tables(study: StudyData, rows: tuple[LadderRow, ...], writer: Writer) -> tuple[ReportTable, ReportTable]:
    """Return the ladder: one row per entry, its accuracy by class group and its gains over la and la_tuned.

    The second table has the columns that few readers look up. Both have their numbers in one file.
    """
    shown = [name for name in COLUMNS if name == "all" or any(row.cells[name].n for row in rows)]
    first = shown.index("all") + 1  # the gain follows All, then come the thirds and the other columns
    empty = [COLUMNS[name] for name in GROUPS if name not in shown]
    missing = f" Without a class in this data set: {', '.join(empty)}." if empty else ""
    heads = [_heading(study, name) for name in shown]
    on_subsets = claims_by_subset(study)
    tuned = any(row.entry == LA_TUNED for row in rows)
    over = ("la", LA_TUNED) if tuned else ("la",)
    diverged = f" {DIVERGED_TEXT}" if any(row.n_diverged for row in rows) else ""
    table = writer.table(
        "ladder",
        pd.DataFrame([_raw(row, over) for row in rows]),
        columns=(
            "entry",
            "subsets × seeds" if on_subsets else "seeds",
            *heads[:first],
            *(text for name in over for text in (f"minus {name}", "95 % interval")),
        ),
        rows=[
            (
                row.entry,
                row.runs_text,
                *(mean_sd(row.cells[name]) for name in shown[:first]),
                *(text for name in over for text in _gain(row.gains.get(name))),
            )
            for row in rows
        ],
        strong=[index for index, row in enumerate(rows) if row.entry == BEST],
        caption=(
            f"Test accuracy in %, mean ± sd over {_units(study)}. All is balanced accuracy, the mean recall of all "
            "classes. Columns with a number of classes in parentheses are mean recalls of a group of classes by "
            "training count: Many over 100, Medium 20 to 100, Few under 20. "
            f"The difference is in points of All, {pairing_text(study)}, with a paired t interval. "
            f"Rungs have their reference values; {BEST}{' and the tuned entries were' if tuned else ' was'} chosen in "
            f"a search. The teacher is trained once{' per subset' * on_subsets}.{missing}{diverged}"
        ),
    )
    return table, replace(
        table,
        caption=writer.stamped(
            f"The same runs, in %, mean ± sd. The thirds of the classes are ranked by training count. {OTHERS_TEXT}."
        ),
        columns=("entry", *heads[first:]),
        rows=tuple((row.entry, *(mean_sd(row.cells[name]) for name in shown[first:])) for row in rows),
    )


def _units(study: StudyData) -> str:
    """Return what the means are taken over, in words."""
    if claims_by_subset(study):
        return "subsets of the long tail (each the mean over its training seeds)"
    return "training seeds" if study.n_subsets < 2 else "training seeds on the study's own subset of the long tail"


def _heading(study: StudyData, name: str) -> str:
    return f"{COLUMNS[name]} ({len(study.groups[name])})" if name in study.groups else COLUMNS[name]


def _gain(gain: PairedInterval | None) -> tuple[str, str]:
    return (MISSING, MISSING) if gain is None or not gain.n else (points(gain.mean), span(gain))


def _raw(row: LadderRow, over: Sequence[str]) -> dict[str, object]:
    flat: dict[str, object] = {"entry": row.entry, "selected_on": row.selected_on}
    flat |= {"n_cuts": row.n_subsets, "n_seeds": row.n_seeds}
    flat |= {"n_diverged": row.n_diverged, "n_missing": row.n_missing}
    for name, cell in row.cells.items():
        flat |= {f"{name}_mean": cell.mean, f"{name}_sd": cell.sd, f"{name}_n": cell.n}
    for name, prefix in zip(over, ("gain", "gain_tuned"), strict=False):
        if row.entry not in (name, TEACHER):
            gain = row.gains.get(name, paired_interval([]))
            flat |= {f"gain_over_{name}": gain.mean, f"{prefix}_low": gain.low, f"{prefix}_high": gain.high}
            flat[f"{prefix}_n"] = gain.n
    return flat


def pairing_text(study: StudyData) -> str:
    """Return how the differences of two entries are paired, in words."""
    return "paired by seed and averaged by subset" if claims_by_subset(study) else "paired by seed"
