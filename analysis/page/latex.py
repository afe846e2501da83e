"""The ladder as a LaTeX table (booktabs) for a paper."""

import re
from collections.abc import Iterable

from analysis.reading.wording import percent
from analysis.results.accuracies import COLUMNS
from analysis.results.entries import BEST, TEACHER
from analysis.results.ladder import LadderRow
from analysis.stats.paired_tests import Spread
from study.schema import GROUPS

_SHOWN = (*GROUPS, "all")
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def ladder_table(rows: Iterable[LadderRow]) -> str:
    """Return the table environment's body: percentages, mean and sd over seeds, the gain over la with its interval."""
    lines = [
        r"\begin{tabular}{lr" + "r" * len(_SHOWN) + "r}",
        r"\toprule",
        " & ".join(["Entry", "Seeds", *(COLUMNS[name] for name in _SHOWN), r"Gain over la (95\,\% interval)"]) + r" \\",
        r"\midrule",
        *(_line(row) for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return (
        "% needs \\usepackage{booktabs}; test recall in %, mean and sd over training seeds, gain in points of All\n"
        + ("\n".join(lines) + "\n")
    )


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
