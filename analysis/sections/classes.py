"""The classes: their gains over a baseline, at what price for the head, and their recalls beside the teacher's."""

from collections.abc import Sequence
from dataclasses import replace

from analysis.page.document import Block, Gallery, Paragraph, Picture, Section, fold
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, gain_text, points
from analysis.results.accuracies import COLUMNS, OTHERS_TEXT, claims_by_subset
from analysis.results.class_gains import group_gains
from analysis.results.entries import BEST
from analysis.results.head_tail_exchange import exchange
from analysis.sections.class_errors import error_blocks, feature_blocks, shown_baselines
from analysis.sections.class_figures import averaged_over, gain_blocks, recall_blocks, subset_range_blocks
from analysis.stats.paired_tests import MIN_PAIRS


def classes_section(study: StudyData, writer: Writer) -> Section:
    """Return the figures and tables of gains, recalls and errors by class, once the confirmation has runs."""
    entries = tuple(dict.fromkeys((BEST, study.space.method)))
    gains = [block for baseline in shown_baselines(study) for block in gain_blocks(study, entries, baseline, writer)]
    pictures = tuple(block for block in gains if isinstance(block, Picture))
    blocks: list[Block] = [Gallery(pictures)] if pictures else []
    blocks += fold("The largest and the smallest differences", [block for block in gains if block not in pictures])
    blocks += fold("Every entry by groups of classes", _by_group(study, writer))
    if study.n_subsets > 1 and not claims_by_subset(study):
        blocks += fold("The differences of classes over subsets", subset_range_blocks(study, entries, writer))
    blocks += fold("Recalls of the classes, the teacher's among them", recall_blocks(study, writer))
    blocks += fold("What the tail costs the head", _exchange(study, writer))
    blocks += fold("Where the wrong answers go", error_blocks(study, writer))
    blocks += fold("How far features differ between training and test", feature_blocks(study, writer))
    if not blocks:
        blocks.append(Paragraph("There are no per-class results before the confirmation."))
    return Section("classes", "Classes", tuple(blocks))


def _by_group(study: StudyData, writer: Writer) -> list[Block]:
    """Return every entry's gains over each baseline: by groups of classes, then by thirds and the other columns.

    Both tables have their numbers in one file.
    """
    table = group_gains(study)
    if table.empty:
        return []
    shown = list(dict.fromkeys(table["group"]))
    cells = {
        (row["entry"], row["baseline"], row["group"]): gain_text(row["gain"], row["low"], row["high"])
        for row in table.to_dict("records")
    }
    pairs = list(dict.fromkeys((entry, baseline) for entry, baseline, _ in cells))

    def rows(names: Sequence[str]) -> list[tuple[str, ...]]:
        return [(entry, baseline, *(cells[entry, baseline, name] for name in names)) for entry, baseline in pairs]

    first = shown.index("all") + 1  # as in the ladder: the groups and All, then the thirds and the other columns
    by_group = writer.table(
        "group_gains",
        table,
        columns=("entry", "over", *(COLUMNS[name] for name in shown[:first])),
        rows=rows(shown[:first]),
        strong=[index for index, (entry, _) in enumerate(pairs) if entry == BEST],
        caption=(
            "Every entry's mean test recall minus that of the baseline, in points, by groups of classes, paired over "
            f"{averaged_over(study)}, with 95 % t intervals. A description: no correction for so many comparisons."
        ),
    )
    by_third = replace(
        by_group,
        columns=("entry", "over", *(COLUMNS[name] for name in shown[first:])),
        rows=tuple(rows(shown[first:])),
        caption=writer.stamped(
            f"The same by thirds of the classes, which are ranked by training count. {OTHERS_TEXT}."
        ),
    )
    return [by_group, by_third]


def _exchange(study: StudyData, writer: Writer) -> list[Block]:
    table = exchange(study, baselines=shown_baselines(study))
    if table.empty:
        return []
    rows = [
        (
            row["entry"],
            row["baseline"],
            str(row["n"]),
            f"{points(row['few'])} ({points(row['few_low'])} to {points(row['few_high'])})",
            f"{points(row['many'])} ({points(row['many_low'])} to {points(row['many_high'])})",
            MISSING if row["price"] != row["price"] else f"{row['price']:.2f}",
        )
        for row in table.to_dict("records")
    ]
    return [
        writer.table(
            "exchange",
            table,
            columns=(
                *("entry", "over", "pairs", "Few, difference (95 % interval)", "Many, difference (95 % interval)"),
                "less on Many per point on Few",
            ),
            rows=rows,
            strong=[index for index, row in enumerate(rows) if row[0] == BEST],
            caption=(
                "The exchange of head for tail, in points of test recall, paired and not tested. The last column says "
                "how many points less on Many stand against one point more on Few. It is 0 where the interval of Many "
                "does not lie below 0. A dash stands where the interval of Few does not lie above 0, or with fewer "
                f"than {MIN_PAIRS} pairs."
            ),
        )
    ]
