"""A whole study on two cuts of the long tail, really run: interrupted in the second, resumed, and opened when old."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from study import schema
from tests.support.commands import Command
from tests.whole.whole import SMOKE, csv_rows, query, starter, wait
from trainables.cckd.files.sealed import unsealed

pytestmark = pytest.mark.slow

#: Two rungs beside the compared baselines, which are confirmed unnamed; all of them are for test_whole_study.
LADDER = ("ce", "acckd")
ENTRIES = ("best1", "ce", "la", "kd", "acckd")
N_CUTS, N_SEEDS, N_VIEWS = 2, 2, 2
N_RUNS = N_CUTS * (len(ENTRIES) * N_SEEDS + 1)
#: Runs of the study's own cut, the second cut's teacher, and one more: the second cut is under way.
BROKEN_AT = N_RUNS // N_CUTS + 2


def _runs(folder: Path) -> list[Sequence[Any]]:
    return query(folder, "SELECT entry, seed, record FROM confirm_runs ORDER BY rowid")


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A study folder, and the runs that were filed when Ctrl-C came in the second cut."""
    out = tmp_path_factory.mktemp("out")
    budget = ("--trials", "2", "--epochs", "3", "--finalists", "0", "--confirm-seeds", str(N_SEEDS))
    cuts = ("--data-seeds", str(N_CUTS), "--long-seeds", "0", "--ablation-seeds", "0", "--max-concurrent", "1")
    folder, command = starter(out)("cuts", *SMOKE, *budget, *cuts, "--ladder", ",".join(LADDER))
    wait(command, lambda: len(_runs(folder)) >= BROKEN_AT)
    command.interrupt()
    ended = command.end()
    assert (ended.code, ended.err) == (130, "")
    return folder, len(_runs(folder))


@pytest.fixture(scope="module")
def whole(interrupted: tuple[Path, int]) -> Path:
    folder, _ = interrupted
    before = _runs(folder)
    ended = Command("study.resume", str(folder)).end()
    assert (ended.code, ended.err) == (0, "")
    assert _runs(folder)[: len(before)] == before
    assert "cut      2 of 2: other training images" in ended.out
    return folder


def test_ctrl_c_in_a_further_cut_leaves_runs_to_do(interrupted: tuple[Path, int]) -> None:
    assert BROKEN_AT <= interrupted[1] < N_RUNS


def test_every_cut_has_every_entry_on_the_same_seeds_and_a_teacher(whole: Path) -> None:
    rows = csv_rows(whole, "confirm.csv")
    assert list(rows[0]) == list(schema.CONFIRM)
    seeds = {"0": ["1001", "1002"], "1": ["10000000001001", "10000000001002"]}
    wanted = [(cut, entry, seed) for cut in seeds for entry in ENTRIES for seed in seeds[cut]]
    wanted += [(cut, "teacher", "") for cut in seeds]
    assert sorted((row["data_seed"], row["entry"], row["seed"]) for row in rows) == sorted(wanted)


def test_classes_csv_has_the_same_training_counts_for_every_cut(whole: Path) -> None:
    rows, counts = csv_rows(whole, "classes.csv"), json.loads((whole / "study.json").read_text())["data"]["n_train"]
    assert list(rows[0]) == list(schema.CLASSES)
    assert len(rows) == 10 * N_RUNS
    for cut in "01":
        assert [int(row["n_train"]) for row in rows if row["data_seed"] == cut][:10] == counts


def test_the_teacher_saw_the_views_of_every_cut_and_the_rest_once(whole: Path) -> None:
    manifest = json.loads((whole / "study.json").read_text())
    data, teacher = manifest["data"], manifest["teacher"]
    of_cut = N_VIEWS * sum(data["n_train"])
    assert teacher["forward_passes"] == N_CUTS * of_cut + sum(data["n_val"]) + sum(data["n_test"])
    assert len(set(data["cuts"])) == N_CUTS
    assert manifest["recuts"]["1"]["sha256"] == data["cuts"][1]


def test_the_exported_model_is_of_the_studys_own_cut(whole: Path) -> None:
    written = json.loads((whole / "models" / "best1.json").read_text())
    (own,) = [row for row in csv_rows(whole, "confirm.csv") if (row["entry"], row["seed"]) == ("best1", "1001")]
    recalls = [right / seen for right, seen in zip(written["test"]["correct"], written["test"]["seen"], strict=True)]
    assert own["data_seed"] == "0"
    assert float(own["test_balanced_accuracy"]) == pytest.approx(sum(recalls) / 10)


def test_a_study_from_before_there_were_cuts_is_resumed_and_keeps_its_runs(whole: Path) -> None:
    """The folder as it was then: no data_seeds in the plan, no cuts, no column in study.db."""
    manifest = unsealed((whole / "study.json").read_bytes())
    del manifest["plan"]["data_seeds"], manifest["data"]["cuts"], manifest["recuts"]
    (whole / schema.MANIFEST_BEFORE).unlink()
    (whole / "study.json").write_text(json.dumps(manifest))
    with closing(sqlite3.connect(whole / "study.db")) as old, old:
        old.execute("DELETE FROM confirm_runs WHERE data_seed > 0")
        old.execute("DROP INDEX one_confirm_run_a_length")
        old.execute("ALTER TABLE confirm_runs DROP COLUMN epochs_factor")
        old.execute("ALTER TABLE confirm_runs DROP COLUMN data_seed")
        old.execute("CREATE UNIQUE INDEX one_confirm_run ON confirm_runs (entry, ifnull(seed, -1))")
    before = _runs(whole)
    ended = Command("study.resume", str(whole)).end()
    assert (ended.code, ended.err) == (0, "")
    assert _runs(whole) == before
    assert {row["data_seed"] for row in csv_rows(whole, "confirm.csv")} == {"0"}
    assert "interval over" not in (whole / "report" / "report.md").read_text()
