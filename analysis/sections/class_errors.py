"""Where the errors of each group of classes go, and how well features separate the classes."""

from math import isnan

from analysis.page.document import Block
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, plural, plus_minus
from analysis.results.entries import BEST, compared_entries
from analysis.results.head_tail_exchange import confusion_flow, group_separability, leading_confusions
from study.schema import GROUPS

#: The baseline beside which best1 is shown.
BASELINE = "la"


def shown_baselines(study: StudyData) -> tuple[str, ...]:
    """Return the baselines beside which entries are shown: la, and the entries that the claim compares with."""
    return tuple(dict.fromkeys((BASELINE, *compared_entries(set(study.classes["entry"])))))


def error_blocks(study: StudyData, writer: Writer) -> list[Block]:
    """Return how the test images of each group were classified, and the leading confusions; nothing without counts."""
    present = set(study.confusion["entry"])
    entries = [name for name in (*shown_baselines(study), BEST) if name in present]
    flow = confusion_flow(study, entries=entries)
    if flow.empty:
        return []
    shown = [name for name in GROUPS if name in set(flow["group"])]
    rows = [
        (
            f"{row['group'].capitalize()}, {row['entry']}",
            f"{row['n_test']:.0f}",
            *(plus_minus(row[name], row[f"{name}_sd"]) for name in ("right", *(f"to_{group}" for group in shown))),
        )
        for row in sorted(flow.to_dict("records"), key=lambda row: GROUPS[::-1].index(row["group"]))
    ]
    flow_table = writer.table(
        "confusion_flow",
        flow,
        columns=("true group, entry", "test images", "right (%)", *(f"wrong, to {name} (%)" for name in shown)),
        rows=rows,
        caption=(
            "How each group's test images were classified: right, or as a wrong class of which group. Shares of the "
            f"group's images, mean ± sd over {plural(int(flow['n_seeds'].max()), 'seed')} of the study's own subset."
        ),
    )
    return [flow_table, *_confusions(study, writer)] if {BASELINE, BEST} <= present else [flow_table]


def _confusions(study: StudyData, writer: Writer) -> list[Block]:
    """Return the most frequent confusions of la beside those of best1."""
    pairs = leading_confusions(study, entry=BEST, baseline=BASELINE)
    if pairs.empty:
        return []
    of_tail = "of the Few classes " if study.groups.get("few") else ""
    return [
        writer.table(
            "confusions",
            pairs,
            columns=("true class", "predicted as", f"{BASELINE}, images per seed", f"{BEST}, images per seed"),
            rows=[
                (
                    row["class_name"] or f"class {row['class_id']}",
                    row["predicted_name"] or f"class {row['predicted_id']}",
                    f"{row['baseline']:.1f}",
                    f"{row['entry']:.1f}",
                )
                for row in pairs.to_dict("records")
            ],
            caption=f"The most frequent confusions {of_tail}by {BASELINE}, beside the same confusions by {BEST}.",
        )
    ]


def feature_blocks(study: StudyData, writer: Writer) -> list[Block]:
    """Return the table of feature distances by group; nothing where no run has them."""
    entries = [name for name in (BASELINE, study.space.method, BEST) if name in set(study.separability["entry"])]
    table = group_separability(study, entries=list(dict.fromkeys(entries)))
    if table.empty:
        return []
    rows = [
        (
            f"{row['group'].capitalize()}, {row['entry']}",
            str(row["n_classes"]),
            str(row["n_seeds"]),
            *(_ratio(row[name], row[f"{name}_sd"]) for name in ("deviation", "spread")),
        )
        for row in sorted(table.to_dict("records"), key=lambda row: GROUPS[::-1].index(row["group"]))
    ]
    return [
        writer.table(
            "separability",
            table,
            columns=("group, entry", "classes", "seeds", "feature deviation", "spread within classes"),
            rows=rows,
            caption=(
                "The student's penultimate features, in units of the mean distance between class means on test. The "
                "deviation is the distance between the means of a class's training and test images. The spread is the "
                "distance of test images from their class mean (root mean square). Smaller is better for both; means "
                "over classes, ± sd over seeds."
            ),
        )
    ]


def _ratio(mean: float, sd: float) -> str:
    if isnan(mean):
        return MISSING
    return f"{mean:.2f}" if isnan(sd) else f"{mean:.2f} ± {sd:.2f}"
