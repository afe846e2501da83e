"""The ladder and the ablation as LaTeX tables (booktabs) for a paper, with the stamps and limits in the captions."""

import re
from collections.abc import Sequence

from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, listing, percent, points, stamp, value_text
from analysis.results.ablation import SETS, Ablation, ablations
from analysis.results.accuracies import COLUMNS, claims_by_subset
from analysis.results.claim_sentences import fate_text
from analysis.results.entries import BEST
from analysis.results.ladder import DIVERGED_TEXT, LadderRow, ladder
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


def latex_tables(study: StudyData) -> dict[str, str]:
    """Return file name without suffix -> table: the ladder, and the ablation on each set; those that there are."""
    tables = {"ladder": ladder_table(study)}
    tables |= {f"ablation_{ablation.judged_on}": ablation_table(study, ablation) for ablation in ablations(study)}
    return {name: table for name, table in tables.items() if table}


def ladder_table(study: StudyData) -> str:
    """Return a table environment: percentages, mean and sd over seeds, the gain over la with its interval.

    The runs of each entry are those of the report's ladder. The caption begins with the stamps of the report's
    captions, and ends with what a longer training leaves of the gains. '' where the study has no confirmed entry.
    """
    rows = study.once(ladder)
    if not rows:
        return ""
    runs = r"Subsets $\times$ seeds" if claims_by_subset(study) else "Seeds"
    head = ["Entry", runs, *(COLUMNS[name] for name in _SHOWN), r"Minus la (95\,\% interval)"]
    return _table(_caption(study, rows), head, [_line(row) for row in rows])


def ablation_table(study: StudyData, ablation: Ablation) -> str:
    """Return a table environment: what each setting and each part of best1 buys in points, with its interval."""
    caption = (
        f"{stamp(study.manifest)} What each setting and each part of {BEST} buys on {study.manifest['data']['spec']}: "
        f"{SETS[ablation.judged_on]} balanced accuracy in %, mean and sd over training seeds, and {BEST} minus {BEST} "
        "with the change, in points. The intervals hold for all changes together."
    )
    best = [rf"\textbf{{{BEST}}}", "--", str(ablation.best.n), _cell(ablation.best), "--"]
    rows = [
        [
            escape(row.text),
            rf"{escape(value_text(row.value))} $\to$ {escape(value_text(row.reference))}"
            if row.kind == "knob"
            else "taken out",
            str(row.accuracy.n),
            _cell(row.accuracy),
            _interval(row.gain.mean, row.gain.low, row.gain.high),
        ]
        for row in ablation.bought
    ]
    head = ["Change", "Put back", "Seeds", "All", r"Buys (95\,\% interval)"]
    return _table(caption.strip(), head, [" & ".join(cells) + r" \\" for cells in (best, *rows)])


def _table(caption: str, head: Sequence[str], lines: Sequence[str]) -> str:
    """Return a table environment whose first column is text and whose others are numbers."""
    whole = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}",
        r"\toprule",
        " & ".join(head) + r" \\",
        r"\midrule",
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(whole) + "\n"


def _caption(study: StudyData, rows: Sequence[LadderRow]) -> str:
    check = check_length(study)
    spec, units = (
        study.manifest["data"]["spec"],
        "subsets of the long tail" if claims_by_subset(study) else "training seeds",
    )
    said = [
        stamp(study.manifest),
        f"Test recall on {spec} in %, mean and sd over {units}; differences in points of All.",
        DIVERGED_TEXT if any(row.n_diverged for row in rows) else "",
        check.climbing_text,
    ]
    fates = [f"over {gain.baseline} {fate_text(gain, check)}" for gain in check.gains if check.claims(gain.baseline)]
    if fates:
        said.append(f"The gain of {BEST} {listing(fates)}.")
    return " ".join(text for text in said if text)


def escape(text: str) -> str:
    """Escape a text so that LaTeX prints it unchanged; control characters are left out."""
    return "".join(_SPECIAL.get(letter, letter) for letter in re.sub(r"\s+", " ", text) if letter.isprintable())


def _line(row: LadderRow) -> str:
    runs = row.runs_text.replace(MISSING, "--").replace("×", r"$\times$")
    cells = [escape(row.entry), runs, *(_cell(row.cells[name]) for name in _SHOWN), _gain(row)]
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
    return _interval(gain.mean, gain.low, gain.high)


def _interval(mean: float, low: float, high: float) -> str:
    if mean != mean:
        return "--"
    text, *ends = (f"${points(value).replace('−', '-')}$" for value in (mean, low, high))
    return text if low != low else f"{text} ({' to '.join(ends)})"
