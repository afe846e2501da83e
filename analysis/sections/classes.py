"""Which classes gain, at what price, where the errors go, and what recalls are beside the teacher's."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from analysis.figures.classes import MOST_NAMED, draw_gains, draw_recalls
from analysis.page.document import Block, Paragraph, Section
from analysis.page.writer import Writer
from analysis.reading.study_data import Study
from analysis.reading.wording import MISSING, listing, percent, plural, points
from analysis.results.class_gains import GROUPS, class_gains, group_gains, mean_recalls
from analysis.results.head_tail_exchange import confusion_flow, exchange, group_separability, leading_confusions
from analysis.results.ladder import BEST, COLUMNS, TEACHER, claims_by_cut, rivals
from analysis.results.subset_gains import class_gains_over_cuts

_BASELINE = "la"


def classes_section(study: Study, writer: Writer) -> Section:
    """Return the figures of gains and of recalls and their tables, where the confirmation has got that far."""
    blocks: list[Block] = []
    entries = tuple(dict.fromkeys((BEST, study.space.method)))
    by_cut = claims_by_cut(study)
    for baseline in _baselines(study):
        blocks += _gains(study, entries, baseline, writer)
    blocks += _by_group(study, writer)
    if study.n_cuts > 1 and not by_cut:
        blocks += _other_cuts(study, entries, writer)
    recalls = mean_recalls(study, entries=(BEST, _BASELINE, TEACHER))
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
                    f"once{' a cut' * by_cut}."
                ),
            )
        )
    blocks += [*_exchange(study, writer), *_flow(study, writer), *_features(study, writer)]
    if not blocks:
        blocks.append(Paragraph("Per-class results come with the confirmation."))
    return Section("classes", "Which classes gain", tuple(blocks))


def _baselines(study: Study) -> tuple[str, ...]:
    """What entries are held against: `la`, and what the claim is about."""
    return tuple(dict.fromkeys((_BASELINE, *rivals(set(study.classes["entry"])))))


def _gains(study: Study, entries: tuple[str, ...], baseline: str, writer: Writer) -> list[Block]:
    """The figure of every class's gain over one baseline."""
    gains_of = class_gains_over_cuts if claims_by_cut(study) else class_gains
    gains = gains_of(study, entries=entries, baseline=baseline)
    if gains.empty:
        return []
    clear = gains[(gains["low"] > 0) | (gains["high"] < 0)]
    lead = gains[gains["entry"] == gains["entry"].iloc[0]].sort_values("gain")
    ends = [f"{row.class_name} {points(row.gain)}" for row in (lead.iloc[-1], lead.iloc[0])]
    return [
        writer.picture(
            "class_gains" if baseline == _BASELINE else f"class_gains_{baseline}",
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


def _by_group(study: Study, writer: Writer) -> list[Block]:
    """Every entry's gains by groups of classes and thirds, over each baseline."""
    table = group_gains(study)
    if table.empty:
        return []
    shown = list(dict.fromkeys(table["group"]))
    cells = {(row["entry"], row["baseline"], row["group"]): row for row in table.to_dict("records")}
    pairs = list(dict.fromkeys((entry, baseline) for entry, baseline, _ in cells))
    return [
        writer.table(
            "group_gains",
            table,
            columns=("entry", "over", *(COLUMNS[name] for name in shown)),
            rows=[
                (entry, baseline, *(_gain(cells[entry, baseline, name]) for name in shown)) for entry, baseline in pairs
            ],
            strong=[index for index, (entry, _) in enumerate(pairs) if entry == BEST],
            caption=(
                "Every entry's gain in mean test recall, in points, by groups of classes and by thirds of them, paired "
                f"over {_units(study)}, with 95 % t intervals. A description: no correction for so many comparisons."
            ),
        )
    ]


def _gain(row: dict[Hashable, Any]) -> str:
    if row["gain"] != row["gain"]:
        return MISSING
    between = "" if row["low"] != row["low"] else f" ({points(row['low'])} to {points(row['high'])})"
    return points(row["gain"]) + between


def _other_cuts(study: Study, entries: tuple[str, ...], writer: Writer) -> list[Block]:
    """A few cuts: too few for an interval worth drawing, so the figure shows where their means lie."""
    gains = class_gains_over_cuts(study, entries=entries, baseline=_BASELINE)
    if gains.empty:
        return []
    n_cuts = int(gains["n_cuts"].max())
    shown = gains.assign(low=gains["lowest"], high=gains["highest"])
    return [
        writer.picture(
            "class_gains_cuts",
            draw_gains(shown, baseline=_BASELINE),
            gains,
            alt=f"Gain in test recall over {_BASELINE} for each class, mean and range over {n_cuts} cuts.",
            caption=(
                f"The same gains over {n_cuts} cuts of the long tail: their mean, with bars from the lowest to the "
                f"highest cut (each the mean over its seeds). The table beside it has the 95 % t intervals over cuts "
                f"and the variance components.{_axis_note(gains['class_id'].nunique())}"
            ),
        )
    ]


def _units(study: Study) -> str:
    if claims_by_cut(study):
        return "cuts of the long tail"
    return "seeds" if study.n_cuts < 2 else "seeds on the study's own cut"


def _axis_note(n_classes: int) -> str:
    return "" if n_classes <= MOST_NAMED else " Dotted lines: 20 and 100 training images."


def _exchange(study: Study, writer: Writer) -> list[Block]:
    table = exchange(study, baselines=_baselines(study))
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
                "Head for tail, in points of test recall, paired. The last column is how many points of Many a point "
                "of Few costs: 0 where no loss of Many is shown, a dash where no gain of Few is."
            ),
        )
    ]


def _flow(study: Study, writer: Writer) -> list[Block]:
    """Where the test images of each group went, and the pairs of classes behind it."""
    present = set(study.confusion["entry"])
    entries = [name for name in (*_baselines(study), BEST) if name in present]
    flow = confusion_flow(study, entries=entries)
    if flow.empty:
        return []
    shown = [name for name in GROUPS if name in set(flow["group"])]
    rows = [
        (
            f"{row['group'].capitalize()}, {row['entry']}",
            f"{row['n_test']:.0f}",
            _share(row, "right"),
            *(_share(row, f"to_{group}") for group in shown),
        )
        for row in sorted(flow.to_dict("records"), key=lambda row: GROUPS[::-1].index(row["group"]))
    ]
    blocks: list[Block] = [
        writer.table(
            "confusion_flow",
            flow,
            columns=("true group, entry", "test images", "right (%)", *(f"wrong, to {name} (%)" for name in shown)),
            rows=rows,
            caption=(
                "Where each group's test images went: right, or given a wrong class of which group; shares of the "
                f"group's images, mean ± sd over {plural(int(flow['n_seeds'].max()), 'seed')} of the study's own cut."
            ),
        )
    ]
    pairs = (
        leading_confusions(study, entry=BEST, baseline=_BASELINE) if {_BASELINE, BEST} <= present else pd.DataFrame()
    )
    if len(pairs):
        of_tail = "of the Few classes " if study.groups.get("few") else ""
        blocks.append(
            writer.table(
                "confusions",
                pairs,
                columns=("true class", "taken for", f"{_BASELINE}, images a seed", f"{BEST}, images a seed"),
                rows=[
                    (
                        row["class_name"] or f"class {row['class_id']}",
                        row["predicted_name"] or f"class {row['predicted_id']}",
                        f"{row['baseline']:.1f}",
                        f"{row['entry']:.1f}",
                    )
                    for row in pairs.to_dict("records")
                ],
                caption=f"The confusions {of_tail}that {_BASELINE} makes most often, and what {BEST} made of them.",
            )
        )
    return blocks


def _features(study: Study, writer: Writer) -> list[Block]:
    entries = [name for name in (_BASELINE, study.space.method, BEST) if name in set(study.separability["entry"])]
    table = group_separability(study, entries=list(dict.fromkeys(entries)))
    if table.empty:
        return []
    rows = [
        (
            f"{row['group'].capitalize()}, {row['entry']}",
            str(row["n_classes"]),
            str(row["n_seeds"]),
            _ratio(row, "deviation"),
            _ratio(row, "spread"),
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
                "The student's penultimate features, in units of the mean distance between class means on test: how "
                "far the mean of a class's training images lies from that of its test images, and how far test images "
                "lie from their class's mean (root mean square). Smaller is better for both; means over classes, ± sd "
                "over seeds."
            ),
        )
    ]


def _ratio(row: dict[Hashable, Any], name: str) -> str:
    if row[name] != row[name]:
        return MISSING
    return (
        f"{row[name]:.2f}" if row[f"{name}_sd"] != row[f"{name}_sd"] else f"{row[name]:.2f} ± {row[f'{name}_sd']:.2f}"
    )


def _share(row: dict[Hashable, Any], name: str) -> str:
    sd = row[f"{name}_sd"]
    return percent(row[name]) if sd != sd else f"{percent(row[name])} ± {percent(sd)}"
