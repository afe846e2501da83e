"""The section on the training length: learning curves, which entries still climb, and what becomes of the gains."""

from functools import partial

import pandas as pd

from analysis.figures.learning_curves import draw_learning_curves
from analysis.page.document import Block, Gallery, Note, Paragraph, Picture, Section, fold
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, listing, percent, plural, points, span
from analysis.results.entries import BASELINES, BEST
from analysis.results.training_length import CURVES, TOLERANCE, LengthCheck, check_length, curve_bands
from analysis.stats.paired_tests import PairedInterval

#: Columns whose curves stand in the open: the claim is about all classes, and the method about the tail.
_SHOWN = ("val_balanced_accuracy", "val_few")


def training_section(study: StudyData, writer: Writer) -> Section | None:
    """Return the section; None where no run of the confirmation has a curve or a longer training."""
    check = check_length(study)
    if study.curves.empty and study.longer.empty:
        return None
    pictures = {column: _curves(study, check, column, writer) for column in CURVES}
    shown = [picture for column in _SHOWN for picture in pictures[column]]
    others = [picture for column in CURVES if column not in _SHOWN for picture in pictures[column]]
    blocks: list[Block] = [_lead(check), *([Gallery(tuple(shown))] if shown else [])]
    blocks += fold("Learning curves of the other groups of classes", [Gallery(tuple(others))] if others else [])
    tables = [_entries_table(check, writer)]
    if check.factor > 1 and check.gains:
        tables.append(_gains_table(check, writer))
    blocks += fold("Each entry and each difference at a longer training", tables)
    return Section("training", "Learning curves and training length", tuple(blocks))


def _lead(check: LengthCheck) -> Paragraph | Note:
    if check.factor == 1:
        return Note(
            f"Nothing was trained longer than {plural(check.epochs, 'epoch')}, so no claim is checked at a longer "
            "training. The curves below are no evidence: while the rate falls, every run rises at its end. "
            "study.confirm with --epochs-factor 2 trains the whole ladder longer."
        )
    said = check.climbing_text or f"No entry is shown to climb at {plural(check.epochs, 'epoch')}."
    if all(found.state == "unchecked" for found in check.states.values()):
        said = "One longer run per entry checks nothing: that takes two seeds."
    return Paragraph(
        f"A claim belongs to a training length. {said} Runs at {check.longer_epochs} epochs have the seeds of the "
        "confirmation, and their schedule spans all of their epochs."
    )


def _curves(study: StudyData, check: LengthCheck, column: str, writer: Writer) -> list[Picture]:
    """Return the picture of one column; none where no class is in its group."""
    entries = list(dict.fromkeys((BEST, *BASELINES, study.space.method)))
    bands = curve_bands(study, entries, column)
    if bands.empty:
        return []
    group, shown = CURVES[column], list(dict.fromkeys(bands["entry"]))
    last = bands.groupby(["entry", "epochs_factor"], sort=False).tail(1)
    ends = [
        f"{row['entry']} {percent(row['median'])} % at {plural(int(row['epochs_factor']) * check.epochs, 'epoch')}"
        for row in last.to_dict("records")
    ]
    what = "balanced accuracy" if group == "All" else f"mean recall of {group}"
    dashed = " Dashed lines are the same seeds at a longer training." if bands["epochs_factor"].max() > 1 else ""
    name = "learning_curves" if group == "All" else f"learning_curves_{group.lower()}"
    return [
        writer.picture(
            name,
            partial(draw_learning_curves, bands, group=what, length=check.epochs),
            bands,
            alt=f"Learning curves of {listing(shown)} on validation, {what}: {'; '.join(ends)}.",
            caption=f"{what[0].upper()}{what[1:]} on validation along the runs of the confirmation. A line is the "
            f"median over seeds, and its band goes from the lowest to the highest seed.{dashed}",
        )
    ]


def _entries_table(check: LengthCheck, writer: Writer) -> Block:
    raw, cells = [], []
    for name, found in check.states.items():
        change, rise = found.change, found.rise
        raw.append(
            {"entry": name, "epochs": check.epochs, "longer_epochs": check.longer_epochs}
            | _numbers("change", change)
            | _numbers("rise", rise)
            | {"state": found.state}
        )
        cells.append(
            (
                name,
                points(rise.mean) if rise.n else MISSING,
                f"{points(change.mean)} ({plural(change.n, 'seed')})" if change.n else MISSING,
                span(change) if change.n > 1 else MISSING,
                found.state,
            )
        )
    return writer.table(
        "training_length",
        pd.DataFrame(raw),
        columns=(
            "entry",
            "rise over the last quarter of the curve",
            f"change at {check.longer_epochs} epochs" if check.factor > 1 else "change at a longer training",
            "95 % interval",
            "state",
        ),
        rows=cells,
        strong=[index for index, name in enumerate(check.states) if name == BEST],
        caption=(
            "Balanced accuracy on validation, in points. The change is the longer training minus the length, paired by "
            "seed. Its interval has one standard deviation pooled over the entries. An entry climbs where the interval "
            f"lies above 0, and is trained out where it ends below {100 * TOLERANCE:g}. Otherwise it is open. The rise "
            "decides nothing: while the rate falls, every run rises at its end."
        ),
    )


def _gains_table(check: LengthCheck, writer: Writer) -> Block:
    raw, cells = [], []
    for gain in check.gains:
        numbers = _numbers("at_length", gain.at_length) | _numbers("longer", gain.longer)
        raw.append(
            {"comparison": f"{gain.entry} - {gain.baseline}", **numbers, "fate": gain.fate, "claimed": gain.claimed}
        )
        cells.append(
            (
                f"{gain.entry} − {gain.baseline}",
                f"{points(gain.at_length.mean)} ({span(gain.at_length)})",
                str(gain.at_length.n),
                f"{points(gain.longer.mean)} ({span(gain.longer)})" if gain.longer.n else MISSING,
                str(gain.longer.n),
                gain.fate if check.claims(gain.baseline) else "not claimed",
            )
        )
    return writer.table(
        "gains_at_longer_training",
        pd.DataFrame(raw),
        columns=(
            "difference",
            f"at {plural(check.epochs, 'epoch')}",
            "seeds",
            f"at {check.longer_epochs} epochs",
            "seeds",
            "what becomes of a claimed gain",
        ),
        rows=cells,
        caption=(
            f"Differences of test balanced accuracy{check.own_text}, in points, paired by seed, with 95 % intervals. "
            "The interval at the longer training has one standard deviation pooled over both lengths, and decides. A "
            "gain holds where the interval lies above 0 and reaches the former gain. It shrinks where the interval "
            "lies above 0 and ends below the former gain. It vanishes where the interval does not lie above 0 and ends "
            "below the former gain. It is not seen where the interval reaches the former gain and its middle is not "
            "above 0: these seeds cannot tell. Otherwise it is open. Differences that are no claim have no such "
            "word."
        ),
    )


def _numbers(name: str, interval: PairedInterval) -> dict[str, float]:
    return {f"{name}_{part}": getattr(interval, part) for part in ("mean", "low", "high", "n")}
