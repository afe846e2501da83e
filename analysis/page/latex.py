"""The ladder as a LaTeX table (booktabs) for a paper, with the stamps and the limits of its numbers in the caption."""

import re

from analysis.reading.study_data import StudyData
from analysis.reading.wording import listing, percent, stamp
from analysis.results.accuracies import COLUMNS, claims_by_subset
from analysis.results.claim_sentences import fate_text
from analysis.results.entries import BEST, TEACHER
from analysis.results.ladder import LadderRow, ladder
from analysis.results.training_length import check_length
from analysis.stats.paired_tests import Spread
from study.schema import GROUPS

_SHOWN = (*GROUPS, "all")
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def ladder_table(study: StudyData) -> str:
    """Return a table environment: percentages, mean and sd over seeds, the gain over la with its interval.

    The caption begins with the stamps of the report's captions, and ends with what a longer training leaves of the
    gains. '' where the study has no confirmed entry.
    """
    rows = ladder(study)
    if not rows:
        return ""
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(_caption(study))}}}",
        r"\begin{tabular}{lr" + "r" * len(_SHOWN) + "r}",
        r"\toprule",
        " & ".join(["Entry", "Seeds", *(COLUMNS[name] for name in _SHOWN), r"Gain over la (95\,\% interval)"]) + r" \\",
        r"\midrule",
        *(_line(row) for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(lines) + "\n"


def _caption(study: StudyData) -> str:
    check = check_length(study)
    spec, units = (
        study.manifest["data"]["spec"],
        "subsets of the long tail" if claims_by_subset(study) else "training seeds",
    )
    said = [stamp(study.manifest), f"Test recall on {spec} in %, mean and sd over {units}; gains in points of All."]
    if climbing := check.climbing():
        verbs = ("climbs", "carries") if len(climbing) == 1 else ("climb", "carry")
        said.append(f"{listing(climbing)} still {verbs[0]} at {check.epochs} epochs and {verbs[1]} no claim.")
    fates = [f"over {gain.baseline} {fate_text(gain, check)}" for gain in check.gains if gain.at_length.mean > 0]
    if fates:
        said.append(f"The gain of {BEST} {listing(fates)}.")
    return " ".join(text for text in said if text)


def escape(text: str) -> str:
    """Escape a text so that LaTeX prints it unchanged; control characters are left out."""
    return "".join(_SPECIAL.get(letter, letter) for letter in re.sub(r"\s+", " ", text) if letter.isprintable())


def _line(row: LadderRow) -> str:
    seeds = "--" if row.entry == TEACHER else str(row.n_seeds)
    cells = [escape(row.entry), seeds, *(_cell(row.cells[name]) for name in _SHOWN), _gain(row)]
    if row.entry == BEST:
        cells = [rf"\textbf{{{cell}}}" if index == 0 else cell for index, cell in enumerate(cells)]
    return " & ".join(cells) + r" \\"


def _cell(spread: Spread) -> str:
    if spread.n == 0:
        return "--"
    mean = percent(spread.mean)
    return mean if spread.sd != spread.sd else rf"${mean} \pm {percent(spread.sd)}$"


def _gain(row: LadderRow) -> str:
    gain = row.gains.get("la")
    if gain is None or not gain.n:
        return "--"
    text = f"${100 * gain.mean:+.1f}$"
    return text if gain.n < 2 else f"{text} (${100 * gain.low:+.1f}$ to ${100 * gain.high:+.1f}$)"
