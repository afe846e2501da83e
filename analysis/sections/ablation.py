"""What each setting and each part of best1 buys: a sentence, a figure and a table for each set of judgement."""

from functools import partial

from analysis.figures.ablation import draw_bought
from analysis.page.document import Block, Paragraph, Section, fold
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, listing, mean_sd, p_value, percent, plural, points, value_text
from analysis.results.ablation import (
    SETS,
    Ablation,
    Bought,
    ablations,
    bought_table,
    learns_no_outputs,
    without_teacher,
)
from analysis.results.entries import BEST
from analysis.stats.paired_tests import ALPHA

_NOT_DISTILLED = (
    f" In {BEST} use_kd is off, so that without the class-conditional term nothing learns from the teacher's outputs. "
    "That row says what it buys to distil at all; the ladder compares with classic distillation."
)

_FRESH_VIEWS = (
    " Without the {part} nothing reads the teacher, so that this row saw fresh views in every epoch, where "
    f"{BEST} goes round the teacher's cached ones. That favours the row, if anything: distilling buys rather more than "
    "it says."
)


def ablation_section(study: StudyData, writer: Writer) -> Section | None:
    """Return the section; None where nothing was trained for it."""
    found = ablations(study)
    chance = 1 / len(study.manifest["data"]["classes"])
    blocks: list[Block] = []
    for ablation in found:
        lead = _lead(ablation, chance) + _NOT_DISTILLED * learns_no_outputs(study, ablation)
        lead += "".join(_FRESH_VIEWS.format(part=row.text) for row in without_teacher(study, ablation))
        blocks += [Paragraph(lead), *_shown(ablation, writer)]
    return Section("ablation", "What each setting and each part buys", tuple(blocks)) if blocks else None


def _lead(ablation: Ablation, chance: float) -> str:
    most = max(row.accuracy.n for row in ablation.bought)
    sentences = [
        f"{BEST} (trial {ablation.trial}) was trained again with one thing changed: a knob put back to its reference "
        "value, or a part of the method taken out.",
        f"Each change was trained on {plural(most, 'fresh seed')} and {BEST} itself on {ablation.best.n}, and all were "
        f"judged on the {SETS[ablation.judged_on]} set.",
        *_findings(ablation),
    ]
    if ablation.judged_on == "val":
        sentences.append(
            f"{BEST} was chosen on this set, which favours it; study.ablate --test judges on the test set."
        )
    if not any(row.kind == "knob" for row in ablation.bought):
        sentences.append("No knob was put back: none that is shown to matter has another value than its reference.")
    if ablation.n_diverged:
        runs = plural(ablation.n_diverged, "run")
        verb = "counts" if ablation.n_diverged == 1 else "count"
        sentences.append(f"{runs} diverged and {verb} at chance level, {percent(chance)} %.")
    if ablation.n_lost:
        runs = plural(ablation.n_lost, "run")
        sentences.append(f"{runs} failed for another reason and {'is' if ablation.n_lost == 1 else 'are'} left out.")
    return " ".join(sentences)


def _findings(ablation: Ablation) -> list[str]:
    told = [row for row in ablation.bought if row.gain.p <= ALPHA]
    by_sign = {
        "buy accuracy": [row for row in told if row.gain.mean > 0],
        "cost accuracy": [row for row in told if row.gain.mean < 0],
    }
    said = [
        f"Shown to {what}: {listing([_with_points(row) for row in rows])}." for what, rows in by_sign.items() if rows
    ]
    if len(told) == len(ablation.bought):
        return said
    if not said:
        said = ["No change is shown to make a difference."]
    return [*said, "The last column says which difference could have been shown."]


def _with_points(row: Bought) -> str:
    return f"{row.text} ({points(row.gain.mean)} points)"


def _shown(ablation: Ablation, writer: Writer) -> list[Block]:
    judged, numbers = SETS[ablation.judged_on], bought_table(ablation)
    names = [row.text for row in ablation.bought]
    name = f"ablation_{ablation.judged_on}"
    found = "; ".join(f"{row.text} {points(row.gain.mean)} ({_interval(row)})" for row in ablation.bought)
    picture = writer.picture(
        name,
        partial(draw_bought, numbers, names, judged_on=judged),
        numbers,
        alt=f"What each setting and each part of {BEST} buys on {judged}, in points: {found}.",
        caption=(
            f"What each setting and each part buys: {BEST} minus {BEST} with the change, on the {judged} set. The bars "
            "are 95 % intervals that hold for all changes together. An arrow stands for a point beyond the axis."
        ),
    )
    table = writer.table(
        f"{name}_changes",
        numbers,
        columns=(
            "change",
            "put back",
            f"{judged} balanced accuracy (%)",
            "seeds",
            "buys (points)",
            "95 % interval",
            "p",
            "could have shown (points)",
        ),
        rows=[
            (BEST, MISSING, mean_sd(ablation.best), str(ablation.best.n), *[MISSING] * 4),
            *(_row(row) for row in ablation.bought),
        ],
        strong=[0],
        caption=(
            f"{BEST} and its changes, mean ± sd over seeds. Intervals and p values hold for all changes together "
            "(Dunnett 1955): the noise is pooled, and a change that scatters more has its own. Could have shown: the "
            "smallest difference that is shown in 80 % of studies at this noise and number of seeds."
        ),
    )
    return [picture, *fold(f"Every change on the {judged} set", [table])]


def _row(row: Bought) -> tuple[str, ...]:
    put_back = f"{value_text(row.value)} → {value_text(row.reference)}" if row.kind == "knob" else "taken out"
    return (
        row.text,
        put_back,
        mean_sd(row.accuracy),
        str(row.accuracy.n),
        points(row.gain.mean),
        _interval(row),
        p_value(row.gain.p),
        percent(row.gain.detectable),
    )


def _interval(row: Bought) -> str:
    return "no interval" if row.gain.low != row.gain.low else f"{points(row.gain.low)} to {points(row.gain.high)}"
