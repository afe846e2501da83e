"""`python -m analysis.report DIR`: write the report of a study folder into DIR/report and print its path."""

from study.terminal.signals import command_of, end_process

if __name__ == "__main__":  # before the imports
    end_process(command_of("analysis.report"))

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

from analysis.page.document import Report
from analysis.page.figure_workers import figure_pool
from analysis.page.latex import latex_tables
from analysis.page.render import to_html, to_markdown
from analysis.page.whole_folder import whole_folder
from analysis.page.writer import Draw, Writer
from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import StudyFolderError, load_study, one_error
from analysis.reading.wording import isolated, mean_sd, stamp
from analysis.results.accuracies import scores
from analysis.results.comparisons import unit_values
from analysis.results.entries import BEST, compared_entry
from analysis.results.findings import find
from analysis.search.history import state_counts
from analysis.search.importance import importances
from analysis.sections.ablation import ablation_section
from analysis.sections.classes import classes_section
from analysis.sections.confirmation.comparisons import claim_picture
from analysis.sections.confirmation.section import confirmation_section
from analysis.sections.health import health_section
from analysis.sections.knobs.section import knob_sections
from analysis.sections.recommendation import recommendation_section
from analysis.sections.search import front_section, search_section
from analysis.sections.setup import provenance_section, teacher_section
from analysis.sections.training_length import training_section
from analysis.stats.paired_tests import spread
from study.lock import LOCK, is_held
from study.overview.driver import last_sign
from study.schema import REPORT
from study.terminal.command_line import command_line, given_path
from study.terminal.faults import complain, printable
from study.terminal.output import outliving_its_reader

_PAGE = "index.html"

#: Seconds from one report to the next of a study that is watched, and between two looks at it.
_EVERY_S, _LOOK_EVERY_S = 30.0, 1.0


@outliving_its_reader()
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 2 with one message where DIR is no study folder."""
    command = command_line("report", package="analysis")
    parser = argparse.ArgumentParser(
        prog=command,
        description="Write the report of a study, finished or running, into DIR/report.",
        epilog=f"example: {command} runs/acckd_core-digits_lt-20260101-120000",
    )
    parser.add_argument("dir", metavar="DIR", type=given_path, help="a study folder")
    parser.add_argument(
        "--watch", action="store_true", help="write it again as results come, until the study has ended"
    )
    options = parser.parse_args(argv)
    try:
        for _ in _turns(options.dir) if options.watch else (None,):
            page = build_report(options.dir)
            print(f"report: {printable(str(page))}", flush=True)
    except StudyFolderError as error:
        complain(error.faults)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def _turns(folder: Path) -> Iterator[None]:
    """Yield whenever a report is due: now, when a study under way has new results, and once after its end.

    A quarter of the time at most is spent on reports.
    """
    while True:
        running, seen, start = is_held(folder / LOCK), last_sign(folder), time.monotonic()
        yield
        if not running:
            return
        next_at = time.monotonic() + max(_EVERY_S, 3 * (time.monotonic() - start))
        while is_held(folder / LOCK) and (time.monotonic() < next_at or last_sign(folder) == seen):
            time.sleep(_LOOK_EVERY_S)


def build_report(folder: Path) -> Path:
    """Write `folder`/report (index.html, report.md, figures, tables) and return the path of index.html.

    The study's own files are only read. An earlier report is replaced once the new one is complete.

    Raises:
        StudyFolderError: `folder` holds no readable study, or cannot be written to.
    """
    study = load_study(folder)
    try:
        with whole_folder(folder / REPORT) as building:
            # The products are of small matrices: threads would wait for each other for most of the time.
            with one_error(folder, "reporting"), threadpool_limits(1, "blas"), figure_pool() as draw:
                report = _compose(study, building, draw)
            for name, table in latex_tables(study).items():
                (building / "tables" / f"{name}.tex").write_text(table, encoding="utf-8")
            (building / "report.md").write_text(to_markdown(report), encoding="utf-8")
            (building / _PAGE).write_text(to_html(report, building), encoding="utf-8")
    except OSError as error:
        raise StudyFolderError(f"the report cannot be written to {folder}: {error.strerror}") from error
    return (folder / REPORT / _PAGE).resolve()


def _compose(study: StudyData, folder: Path, draw: Draw) -> Report:
    data = isolated(str(study.manifest["data"]["spec"]))
    writer = Writer(folder, stamp(study.manifest), draw)
    # The sections on knobs take longest: the other figures are drawn meanwhile.
    confirmed = (
        classes_section(study, writer),
        confirmation_section(study, writer),
        training_section(study, writer),
        front_section(study, writer),
    )
    supporting = (
        ablation_section(study, writer),
        recommendation_section(study, writer),
        search_section(study, writer),
        health_section(study, writer),
        teacher_section(study, writer),
        provenance_section(study, writer),
    )
    picture = claim_picture(study, writer)
    ranked = importances(study)
    found = find(study, ranked)
    standing, knobs = knob_sections(study, ranked, writer)
    return Report(
        title=str(study.manifest["name"]),
        subtitle=f"{study.space.purpose} {study.space.method} on {data}, space {study.space.name}.",
        headline=found.headline,
        lead=found.sentences,
        warnings=found.warnings,
        facts=_facts(study),
        sections=tuple(section for section in (standing, *confirmed, knobs, *supporting) if section),
        picture=picture,
    )


def _facts(study: StudyData) -> tuple[tuple[str, str], ...]:
    table = scores(study)
    counts = state_counts(study)
    of = {entry: table.loc[table["entry"] == entry] for entry in (BEST, compared_entry("la", set(table["entry"])))}
    shown = [
        (f"test, all classes, {entry} (%)", mean_sd(spread(unit_values(table, entry, "all"))))
        for entry in of
        if len(of[entry])
    ]
    shown += [
        (f"test, Few, {entry} (%)", mean_sd(spread(unit_values(table, entry, "few"))))
        for entry in of
        if of[entry]["few"].notna().any()
    ]
    total = f"{counts['COMPLETE']} of {study.manifest['plan']['trials']}"
    n_seeds, n_subsets = len(of[BEST]), of[BEST]["data_seed"].nunique()
    runs = (
        [("runs on subsets", f"{n_seeds} on {n_subsets}") if n_subsets > 1 else ("seeds", str(n_seeds))]
        if n_seeds
        else []
    )
    return (*shown, ("complete trials", total), *runs)
