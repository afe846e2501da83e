"""The ladder table: what each method reaches on test, by class group, and its gain over la."""

import pandas as pd

from analysis.page.document import Block, Note, Paragraph, Section
from analysis.page.writer import Writer
from analysis.reading.study_data import Study
from analysis.reading.wording import MISSING, mean_sd, p_value, percent, points, span
from analysis.results.findings import conditional
from analysis.results.ladder import (
    BEST,
    COLUMNS,
    LA_TUNED,
    TEACHER,
    Comparison,
    LadderRow,
    claimed,
    claims_by_cut,
    class_recalls,
    ladder,
    primary_family,
    rival_in_words,
    scores,
)
from analysis.results.tuned_baselines import untuned_gains
from analysis.sections.luck import luck_blocks
from analysis.sections.subsets import cut_blocks
from analysis.sections.tuned_baselines import rival_blocks
from analysis.stats.paired_tests import ALPHA, MIN_PAIRS, PairedInterval
from analysis.stats.test_set_bootstrap import image_part


def confirmation_section(study: Study, writer: Writer) -> Section:
    """Return the ladder and the primary comparisons, or why there are none."""
    title = "Confirmation on the test set"
    rows = ladder(study)
    if not rows:
        planned = study.manifest["plan"].get("confirm_seeds")
        why = "was switched off (--confirm-seeds 0)" if planned == 0 else "has not run yet"
        return Section("confirmation", title, (Paragraph(f"The confirmation {why}; the test set is unopened."),))
    blocks: list[Block] = [_ladder_table(study, rows, writer)]
    family = primary_family(scores(study))
    if family:
        blocks.append(_family_table(study, family, writer))
    if min((item.interval.n for item in family), default=MIN_PAIRS) < MIN_PAIRS:
        blocks.append(Note(f"Fewer than {MIN_PAIRS} paired seeds: intervals are shown, nothing is claimed from them."))
    blocks += [*cut_blocks(study, writer), Paragraph(conditional(study))]
    blocks += [*rival_blocks(study, writer), *luck_blocks(study, writer)]
    return Section("confirmation", title, tuple(blocks))


def _ladder_table(study: Study, rows: tuple[LadderRow, ...], writer: Writer) -> Block:
    shown = [name for name in COLUMNS if name == "all" or any(row.cells[name].n for row in rows)]
    first = shown.index("all") + 1  # the gain stands beside All, the thirds follow
    empty = [COLUMNS[name] for name in ("many", "medium", "few") if name not in shown]
    missing = f" Without a class in this data set: {', '.join(empty)}." if empty else ""
    heads = [_heading(study, name) for name in shown]
    of_cuts = claims_by_cut(study)
    tuned = any(row.entry == LA_TUNED for row in rows)
    over = ("la", LA_TUNED) if tuned else ("la",)
    cells = [
        (
            row.entry,
            _runs(row),
            *(mean_sd(row.cells[name]) for name in shown[:first]),
            *(text for gain in (row.gain, row.gain_tuned)[: len(over)] for text in _gain(gain)),
            *(mean_sd(row.cells[name]) for name in shown[first:]),
        )
        for row in rows
    ]
    return writer.table(
        "ladder",
        pd.DataFrame([_raw(row) for row in rows]),
        columns=(
            "entry",
            "cuts × seeds" if of_cuts else "seeds",
            *heads[:first],
            *(text for name in over for text in (f"gain over {name}", "95 % interval")),
            *heads[first:],
        ),
        rows=cells,
        strong=[index for index, row in enumerate(rows) if row.entry == BEST],
        caption=(
            f"Test accuracy in %, mean ± sd over {_units(study)}. All is balanced accuracy, the mean recall of all "
            "classes; the other columns are mean recalls of a group of classes cut on training counts (Many over "
            "100, Medium 20 to 100, Few under 20; thirds by rank), with the number of classes in parentheses. The "
            f"gain is in points of All, {_paired(study)}, with a paired t interval. Rungs stand at their reference "
            f"point; {BEST}{' and the tuned entries were' if tuned else ' was'} chosen in a search. The teacher is "
            f"trained once{' a cut' * of_cuts}.{missing}"
        ),
    )


def _runs(row: LadderRow) -> str:
    if row.n_cuts > 1:
        return f"{row.n_cuts} × {row.n_seeds}"
    return MISSING if row.entry == TEACHER else str(row.n_seeds)


def _units(study: Study) -> str:
    """What means are taken over."""
    if claims_by_cut(study):
        return "cuts of the long tail (each the mean over its training seeds)"
    return "training seeds" if study.n_cuts < 2 else "training seeds on the study's own cut of the long tail"


def _paired(study: Study) -> str:
    return "paired by seed and averaged by cut" if claims_by_cut(study) else "paired by seed"


def _heading(study: Study, name: str) -> str:
    if name == "all":
        return COLUMNS[name]
    return f"{COLUMNS[name]} ({len(study.groups.get(name, ()))})"


def _gain(gain: PairedInterval | None) -> tuple[str, str]:
    return (MISSING, MISSING) if gain is None or not gain.n else (points(gain.mean), span(gain))


def _raw(row: LadderRow) -> dict[str, object]:
    flat: dict[str, object] = {"entry": row.entry, "selected_on": row.selected_on}
    flat |= {"n_cuts": row.n_cuts, "n_seeds": row.n_seeds}
    for name, cell in row.cells.items():
        flat |= {f"{name}_mean": cell.mean, f"{name}_sd": cell.sd, f"{name}_n": cell.n}
    if row.gain:
        gain = row.gain
        flat |= {"gain_over_la": gain.mean, "gain_low": gain.low, "gain_high": gain.high, "gain_n": gain.n}
    if row.gain_tuned:
        gain = row.gain_tuned
        flat |= {"gain_over_la_tuned": gain.mean, "gain_tuned_low": gain.low, "gain_tuned_high": gain.high}
        flat["gain_tuned_n"] = gain.n
    return flat


def _family_table(study: Study, family: tuple[Comparison, ...], writer: Writer) -> Block:
    recalls = class_recalls(claimed(study))
    drawn = [image_part(recalls, item.entry, item.baseline) for item in family]
    raw = [
        {
            "comparison": f"{item.entry} - {item.baseline}",
            "n": item.interval.n,
            "mean": item.interval.mean,
            "sd": item.interval.sd,
            "low": item.interval.low,
            "high": item.interval.high,
            "p_t": item.interval.p,
            "p_holm": item.p_holm,
            "p_sign_flip": item.flip.p,
            "smallest_p_sign_flip": item.flip.smallest_p,
            "p_sign_flip_holm": item.flip_holm,
            "smallest_p_sign_flip_holm": item.smallest_flip_holm,
            "sd_test_images": images.sd,
            "verdict": item.verdict,
        }
        for item, images in zip(family, drawn, strict=True)
    ]
    rows: list[tuple[str, ...]] = [
        (
            f"{item.entry} − {item.baseline}",
            str(item.interval.n),
            points(item.interval.mean),
            percent(item.interval.sd),
            span(item.interval),
            p_value(item.interval.p),
            p_value(item.p_holm),
            f"{p_value(item.flip_holm)} (least {p_value(item.smallest_flip_holm)})",
            percent(images.sd),
            item.verdict,
        )
        for item, images in zip(family, drawn, strict=True)
    ]
    for name, gain in untuned_gains(scores(study), family).items():
        images = image_part(recalls, BEST, name)
        raw.append(
            {"comparison": f"{BEST} - {name}", "n": gain.n, "mean": gain.mean, "sd": gain.sd, "low": gain.low,
             "high": gain.high, "p_t": gain.p, "sd_test_images": images.sd, "verdict": "descriptive"}
        )  # fmt: skip
        rows.append(
            (f"{BEST} − {name}", str(gain.n), points(gain.mean), percent(gain.sd), span(gain), p_value(gain.p),
             MISSING, MISSING, percent(images.sd), "descriptive")
        )  # fmt: skip
    names = "; ".join(rival_in_words(item.baseline) for item in family)
    return writer.table(
        "comparisons",
        pd.DataFrame(raw),
        columns=(
            "difference",
            "cuts" if claims_by_cut(study) else "pairs",
            "points",
            "sd",
            "95 % interval",
            "p (t)",
            "p (Holm)",
            "p (sign-flip, Holm)",
            "sd, test images",
            "verdict",
        ),
        rows=rows,
        caption=(
            "The comparisons that carry the claim: differences of test balanced accuracy in points, "
            f"{_paired(study)}. The paired t test decides, at p (Holm) of at most {ALPHA}; the sign-flip test stands "
            "beside it with the smallest adjusted p its number of pairs can give, and where that is larger it can "
            "confirm nothing. The last sd is how far another draw of the test images of each class would move the "
            "difference, at most: it stays whatever the number of seeds, and no interval here covers it. "
            f"Against {names}. Everything else in this report is descriptive"
            f"{', comparisons with rivals that are not tuned included' if len(rows) > len(family) else ''}."
        ),
    )
