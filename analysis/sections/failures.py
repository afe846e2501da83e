"""What failed: trials of the search, and runs of the selection and the confirmation, by their causes."""

import pandas as pd

from analysis.page.document import Block, Note, Paragraph
from analysis.page.writer import Writer
from analysis.reading.study_data import Study
from analysis.reading.wording import plural
from analysis.search.history import failed_runs, failure_causes, state_counts

_MOST_NAMED = 8


def failure_blocks(study: Study, writer: Writer) -> list[Block]:
    """Return a sentence and, where something failed, a table each for the search and for the later phases."""
    return [*_of_search(study, writer), *_of_later_phases(study, writer)]


def _of_search(study: Study, writer: Writer) -> list[Block]:
    counts, causes = state_counts(study), failure_causes(study)
    if not causes:
        return [Paragraph(f"What failed? Nothing of {plural(len(study.trials), 'trial')}.")]
    raw = [(cause, len(numbers), " ".join(map(str, numbers))) for cause, numbers in causes]
    return [
        Paragraph(f"What failed? {counts['FAIL']} of {plural(len(study.trials), 'trial')}, by these causes."),
        writer.table(
            "failures",
            pd.DataFrame(raw, columns=["cause", "n", "trials"]),
            columns=("trials", "number", "cause"),
            rows=[(str(n), _named(numbers.split()), cause) for cause, n, numbers in raw],
            caption="Failed trials by cause. They count towards the total and in no table or figure of values.",
            wordy=True,
        ),
    ]


def _of_later_phases(study: Study, writer: Writer) -> list[Block]:
    causes = failed_runs(study)
    if not causes:
        return []
    n_failed = sum(len(names) for _, names in causes)
    raw = [(cause, len(names), " ".join(names)) for cause, names in causes]
    return [
        Note(
            f"After the search {plural(n_failed, 'run')} of the selection or the confirmation failed for good: a "
            "candidate with a failed run cannot be best1, and an entry with one has fewer seeds than the others."
        ),
        writer.table(
            "failed_runs",
            pd.DataFrame(raw, columns=["cause", "n", "runs"]),
            columns=("runs", "named", "cause"),
            rows=[(str(len(names)), _named(names), cause) for cause, names in causes],
            caption="Runs of the selection (candidate) and the confirmation that failed for good, by cause.",
            wordy=True,
        ),
    ]


def _named(parts: list[str]) -> str:
    more = f" and {len(parts) - _MOST_NAMED} more" if len(parts) > _MOST_NAMED else ""
    return ", ".join(parts[:_MOST_NAMED]) + more
