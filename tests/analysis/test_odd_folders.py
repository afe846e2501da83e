"""Studies that went wrong or have only begun: every one gives a page of sentences, and no number that is none."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from analysis import report
from search_spaces.acckd import ACCKD_SMOKE
from tests.analysis.simulation import drop_runs
from trainables.cckd.files.sealed import sealed

Simulated = Callable[..., Path]
SMALL: dict[str, Any] = {"space": ACCKD_SMOKE, "n_trials": 6, "n_pruned": 0, "n_failed": 0}


def _text(folder: Path) -> str:
    report.build_report(folder)
    text = (folder / "report" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert not re.search(r"\b(nan|None|NaN|inf)\b", text)
    return text


def _all(folder: Path, state: str) -> None:
    """Give every trial the same end; one that is not complete has no value."""
    with closing(sqlite3.connect(folder / "study.db")) as database, database:
        database.execute("UPDATE trials SET state = ?", (state,))
        database.execute("DELETE FROM trial_values")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("PRUNED", "Of 6 trials none is complete (0 complete, 6 pruned, 0 failed)"),
        ("FAIL", "Of 6 trials none is complete (0 complete, 0 pruned, 6 failed)"),
    ],
)
def test_a_search_without_a_complete_trial_says_so(simulated: Simulated, state: str, said: str) -> None:
    folder = simulated(**SMALL, n_seeds=0, status="failed")
    _all(folder, state)
    text = _text(folder)
    assert "No trial ran to the end" in text
    assert said in text
    assert "Nothing can be said of a search without a complete trial." in text
    assert "There is none: no trial is complete." in text
    if state == "FAIL":
        assert "What failed? 6 of 6 trials" in text


def test_a_student_that_has_not_been_counted_yet_is_only_named(simulated: Simulated) -> None:
    folder = simulated(**SMALL, n_seeds=0, status="running")
    manifest = json.loads((folder / "study.json").read_text())
    manifest["student"]["n_parameters"] = None
    (folder / "study.json").write_text(json.dumps(sealed(manifest)))
    _all(folder, "RUNNING")
    assert re.search(r"student \| resnet8_cifar\b(?!,)", _text(folder))


def test_a_search_that_has_just_begun_says_so(simulated: Simulated) -> None:
    folder = simulated(**SMALL | {"n_trials": 0, "n_running": 2}, n_seeds=0, status="running")
    text = _text(folder)
    assert "Nothing to report yet: no trial has run to the end" in text
    assert "The study was still running when this report was made." in text


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize(
    ("status", "headline", "said"),
    [
        ("running", "Still running: these results will change", "is under way: 6 runs so far."),
        ("failed", "A best configuration, not yet confirmed", "has 6 runs, but compares nothing yet."),
    ],
)
def test_a_confirmation_that_is_not_whole_shows_what_there_is(
    simulated: Simulated, status: str, headline: str, said: str
) -> None:
    folder = simulated(**SMALL, status=status)
    drop_runs(folder, "entry NOT IN ('teacher', 'la')")
    text = _text(folder)
    assert headline in text
    assert f"The confirmation {said}" in text
    assert "Few, la" in text


@pytest.mark.usefixtures("drawn")
def test_classes_all_in_one_group_leave_the_others_out(simulated: Simulated) -> None:
    folder = simulated(**SMALL, classes=("a", "b", "c"), counts=(9, 8, 7))
    text = _text(folder)
    assert "Without a class in this data set: Many, Medium." in text
    assert "wrong, to few (%)" in text
    assert "wrong, to many (%)" not in text
    assert "less on Many per point on Few" not in text


def test_a_study_whose_teacher_pass_has_not_finished_says_so(simulated: Simulated) -> None:
    folder = simulated(n_trials=0, n_pruned=0, n_failed=0, n_seeds=0, status="running")
    manifest = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(manifest | {"teacher": None}))
    assert _text(folder).count("teacher pass has not finished yet") == 2


def test_a_study_whose_ladder_is_the_compared_baselines_alone_is_reported(simulated: Simulated) -> None:
    folder = simulated(**SMALL)
    drop_runs(folder, "entry NOT IN ('la', 'kd', 'best1', 'teacher')")
    text = _text(folder)
    ladder = (folder / "report" / "tables" / "ladder.csv").read_text(encoding="utf-8").splitlines()
    assert [line.partition(",")[0] for line in ladder] == ["entry", "teacher", "la", "kd", "best1"]
    assert "From tuning itself" not in text, "acckd is not there to compare with"


def test_runs_of_an_earlier_version_show_a_dash_or_no_column_for_what_they_did_not_keep(simulated: Simulated) -> None:
    folder = simulated(**SMALL)
    assert "| Worst | Harmonic | ECE |" in _text(folder)
    drop = "UPDATE confirm_runs SET record = json_remove(record, '$.test.bins') WHERE entry IN ({})".format
    with closing(sqlite3.connect(folder / "study.db")) as database, database:
        database.execute(drop("'la'"))
    (row,) = re.findall(r"^\| la \| 6 \|.*$", _text(folder), flags=re.MULTILINE)
    assert row.endswith("| – |")
    with closing(sqlite3.connect(folder / "study.db")) as database, database:
        database.execute(drop("SELECT entry FROM confirm_runs"))
    assert "| Worst | Harmonic |\n" in _text(folder)
