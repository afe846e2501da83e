"""`python -m analysis.compare DIR DIR...`: compare studies side by side, as a page, Markdown and CSV."""

from study.terminal.signals import command_of, end_process

if __name__ == "__main__":  # before the imports
    end_process(command_of("analysis.compare"))

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.page.document import Block, Note, Paragraph, Report, Section
from analysis.page.render import to_html, to_markdown
from analysis.page.whole_folder import whole_folder
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import StudyFolderError, load_study, one_error
from analysis.reading.wording import (
    MISSING,
    gain_text,
    length_not_measured,
    listing,
    not_trained_out,
    percent,
    plural,
    plus_minus,
    still_climb,
    value_text,
)
from analysis.results.accuracies import COLUMNS
from analysis.results.claim_sentences import fate_text
from analysis.results.entries import BEST, OVER
from analysis.results.training_length import LengthCheck, check_length
from analysis.stats.paired_tests import MIN_PAIRS
from analysis.study_comparison import chosen_values, facts, labels, ladders, longer_gains
from study.schema import CONTAMINATED_BY, GROUPS
from study.terminal.command_line import command_line, given_path
from study.terminal.faults import complain, printable
from study.terminal.output import outliving_its_reader

_PAGE = "index.html"
_MARK = Path("tables") / "comparison.csv"


@outliving_its_reader()
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 2 with one message naming every folder that cannot be compared."""
    command = command_line("compare", package="analysis")
    parser = argparse.ArgumentParser(
        prog=command,
        description="Compare studies side by side: gains, chosen values, teachers, budgets.",
        epilog=f"example: {command} runs/digits runs/fashion --out comparison",
    )
    parser.add_argument("dirs", metavar="DIR", type=given_path, nargs="+", help="study folders, two or more")
    parser.add_argument(
        "--out", metavar="DIR", type=given_path, default=Path("comparison"), help="folder to write (%(default)s)"
    )
    options = parser.parse_args(argv)
    try:
        page = build_comparison(options.dirs, options.out)
    except StudyFolderError as error:
        complain(error.faults)
        return 2
    print(f"comparison: {printable(str(page))}")
    return 0


def build_comparison(folders: Sequence[Path], out: Path) -> Path:
    """Write `out` (index.html, comparison.md, tables) and return the path of index.html.

    The studies are only read. An `out` that holds an earlier comparison is replaced.

    Raises:
        StudyFolderError: fewer than two studies, one that cannot be read, or an `out` that is something else.
    """
    studies = _load(folders, out)
    try:
        with whole_folder(out.absolute()) as building, one_error("one of the studies", "comparing"):
            report = _compose(studies, building)
            (building / "comparison.md").write_text(to_markdown(report), encoding="utf-8")
            (building / _PAGE).write_text(to_html(report, building), encoding="utf-8")
    except OSError as error:
        raise StudyFolderError(f"the comparison cannot be written to {out}: {error.strerror}") from error
    return (out / _PAGE).resolve()


def _load(folders: Sequence[Path], out: Path) -> Mapping[str, StudyData]:
    faults = []
    if len({folder.resolve() for folder in folders}) < len(folders):
        faults.append("each study is named once; a folder is named twice")
    if len(folders) < 2:
        faults.append(f"a comparison takes two studies or more; got {len(folders)}")
    if out.exists() and not (out / _MARK).is_file() and not (out.is_dir() and not any(out.iterdir())):
        faults.append(f"--out must be a new folder or an earlier comparison; {out} is neither")
    studies = []
    for folder in folders:
        try:
            studies.append(load_study(folder))
        except StudyFolderError as error:
            faults.extend(error.faults)
    if faults:
        raise StudyFolderError(*faults)
    return dict(zip(labels(studies), studies, strict=True))


def _compose(studies: Mapping[str, StudyData], folder: Path) -> Report:
    writer = Writer(folder)
    ran = ladders(studies)
    checks = {label: check_length(study) for label, study in studies.items()}
    return Report(
        title="Comparison",
        subtitle=listing(list(studies)) + ".",
        headline=f"{len(studies)} studies side by side",
        lead=tuple(_reached_sentence(label, ran, check) for label, check in checks.items()),
        warnings=_warnings(studies),
        facts=(),
        sections=(
            Section("ladder", "What was reached and gained", tuple(_ladder(studies, ran, writer))),
            Section("training", "What becomes of the gains at a longer training", (_longer(checks, writer),)),
            Section("knobs", "Chosen values", (_knobs(studies, writer),)),
            Section("setup", "Data, teacher and budget", (_setup(studies, writer),)),
        ),
    )


def _reached_sentence(label: str, ran: pd.DataFrame, check: LengthCheck) -> str:
    rows = ran[(ran["study"] == label) & (ran["entry"] == BEST)]
    if rows.empty:
        return f"{label}: {BEST} is not confirmed on the test set."
    row = rows.iloc[0].to_dict()
    gains = [f"{_gain(row, baseline)} over {baseline}{_fate_clause(baseline, check)}" for baseline in _over(rows)]
    n_pairs = 0 if pd.isna(row["over_la_n"]) else int(row["over_la_n"])
    caveat = f" ({plural(n_pairs, 'pair')}: nothing is claimed)" if n_pairs < MIN_PAIRS else ""
    return f"{label}: {BEST} reaches {percent(row['all_mean'])} % on test, {listing(gains) or 'no baseline'}{caveat}."


def _fate_clause(baseline: str, check: LengthCheck) -> str:
    """Say what becomes of best1's gain over a baseline, in the words of the first screen of each report."""
    if climbing := check.climbing(BEST, baseline):
        return f" (no claim: {still_climb(climbing)})"
    gain = next((gain for gain in check.gains if gain.baseline == baseline), None)
    return f" (the gain {fate_text(gain, check)})" if gain and check.claims(baseline) else " (no claim)"


def _warnings(studies: Mapping[str, StudyData]) -> tuple[str, ...]:
    sentences = []
    if len({(study.manifest["data"].get("sha256"), str(study.groups)) for study in studies.values()}) > 1:
        sentences.append(
            "The studies do not share one data set: their accuracies are on different images. Compare the gains, each "
            "paired within its own study, and not the accuracies."
        )
    tested = [label for label, study in studies.items() if study.manifest["data"].get("selected_on") == "test"]
    if tested:
        sentences.append(f"Selected on test: {listing(tested)}.")
    taught = [label for label, study in studies.items() if isinstance(study.manifest.get(CONTAMINATED_BY), str)]
    if taught:
        sentences.append(f"Contaminated teacher: {listing(taught)}.")
    short = [f"{label} ({reason})" for label, study in studies.items() if (reason := not_trained_out(study.manifest))]
    if short:
        sentences.append(f"Not trained out: {listing(short)}.")
    told = {label: length_not_measured(study.manifest) for label, study in studies.items()}
    sentences += [f"{label}: {text}." for label, text in told.items() if text]
    unfinished = [label for label, study in studies.items() if study.manifest["status"] != "done"]
    if unfinished:
        sentences.append(f"Not finished: {listing(unfinished)}.")
    return tuple(sentences)


def _ladder(studies: Mapping[str, StudyData], ran: pd.DataFrame, writer: Writer) -> list[Block]:
    if ran.empty:
        return [Paragraph("None of these studies was confirmed: there is no test result to compare.")]
    entries = list(dict.fromkeys(ran["entry"]))
    cells = {(row["study"], row["entry"]): row for row in ran.to_dict("records")}
    over = _over(ran)
    of_all = writer.table(
        "comparison",
        ran,
        columns=(
            "entry",
            *(f"{label}: {what}" for label in studies for what in ("All", *(f"over {name}" for name in over))),
        ),
        rows=[
            [entry, *(text for label in studies for text in _reached(cells.get((label, entry)), over))]
            for entry in entries
        ],
        strong=[index for index, entry in enumerate(entries) if entry == BEST],
        caption=(
            f"Test balanced accuracy in % (mean ± sd over seeds, over subsets where a study has {MIN_PAIRS}), and its "
            f"gain over {listing(over)} in points, paired within the study, with a 95 % t interval. Below {MIN_PAIRS} "
            "pairs an interval carries no claim."
        ),
    )
    by_group = writer.table(
        "comparison_groups",
        ran[["study", "entry", *(f"{name}_{part}" for name in GROUPS for part in ("mean", "sd"))]],
        columns=("entry", *(f"{label}: {COLUMNS[name]}" for label in studies for name in GROUPS)),
        rows=[
            [entry, *(_mean(cells.get((label, entry)), name) for label in studies for name in GROUPS)]
            for entry in entries
        ],
        strong=[index for index, entry in enumerate(entries) if entry == BEST],
        caption=(
            "Mean test recall in % by group of classes: Many over 100 training images, Medium 20 to 100, Few under "
            "20. The groups are each study's own."
        ),
    )
    few = (
        [Note("Some studies have too few seeds for a claim.")] if (ran["over_la_n"].dropna() < MIN_PAIRS).any() else []
    )
    return [of_all, *few, by_group]


def _over(ran: pd.DataFrame) -> list[str]:
    """Return the baselines over which the gain of some entry is known."""
    return [name for name in OVER if (ran[f"over_{name}_n"].fillna(0) > 0).any()]


def _reached(row: Mapping[Any, Any] | None, over: Sequence[str]) -> tuple[str, ...]:
    return (_mean(row, "all"), *(MISSING if row is None else _gain(row, base) for base in over))


def _mean(row: Mapping[Any, Any] | None, column: str) -> str:
    return MISSING if row is None else plus_minus(row[f"{column}_mean"], row[f"{column}_sd"])


def _gain(row: Mapping[Any, Any], baseline: str) -> str:
    mean, low, high = (row[f"over_{baseline}_{part}"] for part in ("mean", "low", "high"))
    return MISSING if pd.isna(mean) else gain_text(mean, low, high)


def _longer(checks: Mapping[str, LengthCheck], writer: Writer) -> Block:
    table = longer_gains(checks)
    if table.empty:
        return Paragraph("No gain can be checked: no study has a confirmed best1 beside a baseline.")
    rows = []
    for row in table.to_dict("records"):
        before, after = ([row[f"{at}_{part}"] for part in ("mean", "low", "high")] for at in ("at_length", "longer"))
        rows.append(
            (
                row["study"],
                f"{row['entry']} − {row['baseline']}",
                row["fate"] if row["claimed"] and not row["climbing"] else "not claimed",
                row["climbing"] or MISSING,
                f"{gain_text(*before)} at {plural(row['epochs'], 'epoch')}",
                f"{gain_text(*after)} at {row['longer_epochs']} epochs" if row["longer_n"] else MISSING,
            )
        )
    return writer.table(
        "comparison_longer",
        table,
        columns=("study", "difference", "the gain", "still climbs", "at the length", "at the longer training"),
        rows=rows,
        caption=(
            "Differences of test balanced accuracy on each study's own subset, in points, paired by seed, with 95 % "
            "intervals. The words are those of each study's report. At the longer training a gain holds, shrinks, "
            "vanishes, is not seen or is open; without it a gain is unchecked. Differences that passed no test of "
            "their study have no claim, nor have entries that still climb."
        ),
    )


def _knobs(studies: Mapping[str, StudyData], writer: Writer) -> Block:
    chosen = chosen_values(studies)
    return writer.table(
        "comparison_knobs",
        chosen,
        columns=("knob", *studies),
        rows=[[row["knob"], *(value_text(row[label]) for label in studies)] for row in chosen.to_dict("records")],
        caption=(
            f"The values of {BEST} (before the confirmation: of the best trial). A knob that a study did not search "
            "shows the value that it trained with: fixed, or the method's reference. A dash means that the method or "
            "the trial did not use it, or that study.json does not say its value."
        ),
    )


def _setup(studies: Mapping[str, StudyData], writer: Writer) -> Block:
    table = facts(studies)
    return writer.table(
        "comparison_setup",
        table,
        columns=("", *studies),
        rows=[[row["fact"], *(value_text(row[label]) for label in studies)] for row in table.to_dict("records")],
        caption="What each study was run on. Accuracies are fractions here.",
    )
