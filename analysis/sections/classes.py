"""Which classes gain, at what price for the head, and their recalls beside the teacher's."""

from analysis.figures.classes import MOST_NAMED, draw_gains, draw_recalls
from analysis.page.document import Block, Paragraph, Section
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, gain_text, listing, points
from analysis.results.accuracies import COLUMNS, OTHERS_TEXT, claims_by_subset
from analysis.results.class_gains import class_gains, group_gains, mean_recalls
from analysis.results.entries import BEST, TEACHER
from analysis.results.head_tail_exchange import exchange
from analysis.results.subset_gains import class_gains_over_subsets
from analysis.sections.class_errors import BASELINE, error_blocks, feature_blocks, shown_baselines


def classes_section(study: StudyData, writer: Writer) -> Section:
    """Return the figures and tables of gains, recalls and errors by class, once the confirmation has runs."""
    blocks: list[Block] = []
    entries = tuple(dict.fromkeys((BEST, study.space.method)))
    by_subset = claims_by_subset(study)
    for baseline in shown_baselines(study):
        blocks += _gains(study, entries, baseline, writer)
    blocks += _by_group(study, writer)
    if study.n_subsets > 1 and not by_subset:
        blocks += _other_subsets(study, entries, writer)
    recalls = mean_recalls(study, entries=(BEST, BASELINE, TEACHER))
    if len(recalls):
        names = list(dict.fromkeys(recalls["entry"]))
        blocks.append(
            writer.picture(
                "class_recalls",
                draw_recalls(recalls),
                recalls,
                alt=f"Test recall of {listing(names)} for each class, by number of training images.",
                caption=(
                    f"Test recall per class, mean over {_units(study)} with bars of one sd; the teacher is trained "
                    f"once{' per subset' * by_subset}."
                ),
            )
        )
    blocks += [*_exchange(study, writer), *error_blocks(study, writer), *feature_blocks(study, writer)]
    if not blocks:
        blocks.append(Paragraph("There are no per-class results before the confirmation."))
    return Section("classes", "Which classes gain", tuple(blocks))


def _gains(study: StudyData, entries: tuple[str, ...], baseline: str, writer: Writer) -> list[Block]:
    """Return the figure of every class's gain over one baseline."""
    gains_of = class_gains_over_subsets if claims_by_subset(study) else class_gains
    gains = gains_of(study, entries=entries, baseline=baseline)
    if gains.empty:
        return []
    clear = gains[(gains["low"] > 0) | (gains["high"] < 0)]
    lead = gains[gains["entry"] == gains["entry"].iloc[0]].sort_values("gain")
    ends = [f"{row.class_name} {points(row.gain)}" for row in (lead.iloc[-1], lead.iloc[0])]
    return [
        writer.picture(
            "class_gains" if baseline == BASELINE else f"class_gains_{baseline}",
            draw_gains(gains, baseline=baseline),
            gains,
            alt=(
                f"Gain in test recall over {baseline} for each class, by number of training images. "
                f"{lead['entry'].iloc[0]}: largest {ends[0]} points, smallest {ends[1]} points."
            ),
            caption=(
                f"Gain in test recall over {baseline} per class, mean over {_units(study)} with 95 % paired t "
                "intervals. "
                f"{len(clear)} of {len(gains)} intervals exclude 0; they are not corrected for the number of "
                f"classes, so read them as a description.{_axis_note(gains['class_id'].nunique())}"
            ),
        )
    ]


def _by_group(study: StudyData, writer: Writer) -> list[Block]:
    """Return every entry's gains by groups of classes and thirds, over each baseline."""
    table = group_gains(study)
    if table.empty:
        return []
    shown = list(dict.fromkeys(table["group"]))
    cells = {
        (row["entry"], row["baseline"], row["group"]): gain_text(row["gain"], row["low"], row["high"])
        for row in table.to_dict("records")
    }
    pairs = list(dict.fromkeys((entry, baseline) for entry, baseline, _ in cells))
    return [
        writer.table(
            "group_gains",
            table,
            columns=("entry", "over", *(COLUMNS[name] for name in shown)),
            rows=[(entry, baseline, *(cells[entry, baseline, name] for name in shown)) for entry, baseline in pairs],
            strong=[index for index, (entry, _) in enumerate(pairs) if entry == BEST],
            caption=(
                "Every entry's gain in mean test recall, in points, by groups of classes and by thirds of them, paired "
                f"over {_units(study)}, with 95 % t intervals. {OTHERS_TEXT}. "
                "A description: no correction for so many comparisons."
            ),
        )
    ]


def _other_subsets(study: StudyData, entries: tuple[str, ...], writer: Writer) -> list[Block]:
    """Return the gains over a few subsets. They are too few for an interval, so the bars are the range of means."""
    gains = class_gains_over_subsets(study, entries=entries, baseline=BASELINE)
    if gains.empty:
        return []
    n_subsets = int(gains["n_cuts"].max())
    shown = gains.assign(low=gains["lowest"], high=gains["highest"])
    return [
        writer.picture(
            "class_gains_cuts",
            draw_gains(shown, baseline=BASELINE),
            gains,
            alt=f"Gain in test recall over {BASELINE} for each class, mean and range over {n_subsets} subsets.",
            caption=(
                f"The same gains over {n_subsets} subsets of the long tail: their mean, with bars from the lowest to "
                f"the highest subset (each the mean over its seeds). Its CSV has the 95 % t intervals over subsets "
                f"and the variance components.{_axis_note(gains['class_id'].nunique())}"
            ),
        )
    ]


def _units(study: StudyData) -> str:
    if claims_by_subset(study):
        return "subsets of the long tail"
    return "seeds" if study.n_subsets < 2 else "seeds on the study's own subset"


def _axis_note(n_classes: int) -> str:
    return "" if n_classes <= MOST_NAMED else " Dotted lines: 20 and 100 training images."


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
                *("entry", "over", "pairs", "Few, gain (95 % interval)", "Many, gain (95 % interval)"),
                "Many paid per Few",
            ),
            rows=rows,
            strong=[index for index, row in enumerate(rows) if row[0] == BEST],
            caption=(
                "The exchange of head for tail, in points of test recall, paired. The last column is the points of "
                "Many lost per point of Few gained: 0 where no loss of Many is shown, a dash without a gain of Few."
            ),
        )
    ]
