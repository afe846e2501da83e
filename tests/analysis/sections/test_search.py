"""What failed is told by cause: trials of the search, and runs of the later phases as study.json notes them."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.page.document import Note, Paragraph, ReportTable
from analysis.page.writer import Writer
from analysis.reading.study_folder import load_study
from analysis.search.history import failed_runs
from analysis.sections.search import failure_blocks
from search_spaces.acckd import ACCKD_SMOKE


def _noting(failures: Any) -> Any:
    return SimpleNamespace(manifest={"failures": failures}, trials=())


def test_runs_are_gathered_by_cause_the_most_frequent_first() -> None:
    noted = ["kd-seed1: non-finite loss: it", "ce-seed1: hung: no report", "ce-seed2: hung: no report", "la-seed1"]
    assert failed_runs(_noting(noted)) == [
        ("hung: no report", ["ce-seed1", "ce-seed2"]),
        ("non-finite loss: it", ["kd-seed1"]),
        ("no cause recorded", ["la-seed1"]),
    ]


@pytest.mark.parametrize("odd", [None, "text", {"a": 1}, 7])
def test_a_manifest_that_notes_no_list_has_none(odd: Any) -> None:
    assert failed_runs(_noting(odd)) == []


def test_the_section_names_every_failed_run_in_its_table_and_the_first_few_on_the_page(tmp_path: Path) -> None:
    noted = [f"candidate-trial3-seed{k}: exception: OSError: lost" for k in range(10)]
    said, warned, table = failure_blocks(_noting(noted), Writer(tmp_path))
    assert isinstance(said, Paragraph)
    assert isinstance(warned, Note)
    assert warned.text.startswith("After the search 10 runs of the later phases failed for good: a candidate with a")
    assert isinstance(table, ReportTable)
    ((n, named, cause),) = table.rows
    assert (n, cause) == ("10", "exception: OSError: lost")
    assert named.startswith("candidate-trial3-seed0, ")
    assert named.endswith("candidate-trial3-seed7 and 2 more")
    with (tmp_path / table.csv).open(newline="") as handle:
        (row,) = csv.DictReader(handle)
    assert len(row["runs"].split()) == 10


def test_where_nothing_failed_one_sentence_says_so(simulated: Callable[..., Path], tmp_path: Path) -> None:
    study = load_study(simulated(space=ACCKD_SMOKE, n_trials=3, n_pruned=0, n_failed=0, n_seeds=0))
    (said,) = failure_blocks(study, Writer(tmp_path))
    assert isinstance(said, Paragraph)
    assert said.text == "What failed? Nothing of 3 trials."
