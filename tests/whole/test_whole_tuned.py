"""Tuned baselines, really run: added to a finished study, killed in a baseline's search, resumed, replayed, read."""

import json
import time
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pandas as pd
import pytest

from analysis.compare import build_comparison
from analysis.reading.study_folder import load_study
from analysis.results.accuracies import scores
from analysis.results.comparisons import claim_terms, primary_family
from study import schema
from study.records.ledger import Ledger
from tests.support.commands import Command
from tests.whole.whole import SMOKE, csv_rows, query

pytestmark = pytest.mark.slow

N_TRIALS, EPOCHS, N_SEEDS = 3, 4, 2
BUDGET = ("--trials", str(N_TRIALS), "--epochs", str(EPOCHS), "--finalists", "1", "--finalist-seeds", "1")
BUDGET += ("--max-concurrent", "1")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Path:
    out = tmp_path_factory.mktemp("out")
    places = ("--data-root", str(data_root), "--out", str(out), "--name", "tuned")
    seeds = ("--confirm-seeds", str(N_SEEDS), "--long-seeds", "0", "--ablation-seeds", "0", "--ladder", "la,kd")
    ended = Command("study.run", *SMOKE, *BUDGET, *places, *seeds).end()
    assert (ended.code, ended.err) == (0, "")
    return out / "tuned"


@pytest.fixture(scope="module")
def killed(finished: Path) -> tuple[Path, list[Any], list[Any]]:
    """The folder once its driver was killed in kd's search; its confirmed runs before, and kd's epochs then."""
    before = query(finished, "SELECT * FROM confirm_runs ORDER BY rowid")
    command = Command("study.confirm", str(finished), "--tuned-baselines")
    limit = time.monotonic() + 240
    while len(query(finished, "SELECT 1 FROM epoch_records_kd")) < EPOCHS:
        assert command.running, command.end()
        assert time.monotonic() < limit, "kd's search never began"
        time.sleep(0.02)
    command.kill()
    return finished, before, query(finished, "SELECT * FROM epoch_records_kd ORDER BY number, epoch")


@pytest.fixture(scope="module")
def tuned(killed: tuple[Path, list[Any], list[Any]]) -> tuple[Path, list[Any], list[Any]]:
    """The same with both baselines tuned."""
    ended = Command("study.resume", str(killed[0])).end()
    assert (ended.code, ended.err) == (0, "")
    assert f"tune kd  {N_TRIALS} complete, 0 pruned, 0 failed" in ended.out
    return killed


# Each test that makes one more of the fixtures has a time limit of its own.
def test_a_finished_study_has_no_baselines_search(finished: Path) -> None:
    assert query(finished, "SELECT study_name FROM studies") == [("search",)]


def test_a_driver_killed_in_a_baselines_search_leaves_what_came_before(
    killed: tuple[Path, list[Any], list[Any]],
) -> None:
    folder, before, epochs = killed
    assert len(epochs) >= EPOCHS
    ledger = Ledger.open(folder / "study.db")
    assert ledger.baselines["la"].counts()["complete"] == N_TRIALS
    ledger.close()
    assert query(folder, "SELECT * FROM confirm_runs ORDER BY rowid") == before


def test_nothing_is_lost_or_repeated(tuned: tuple[Path, list[Any], list[Any]]) -> None:
    folder, before, epochs = tuned
    assert query(folder, "SELECT * FROM confirm_runs ORDER BY rowid")[: len(before)] == before
    assert set(epochs) <= set(query(folder, "SELECT * FROM epoch_records_kd"))
    ledger = Ledger.open(folder / "study.db")
    for own in (ledger, *ledger.baselines.values()):
        assert own.counts() == {"complete": N_TRIALS, "pruned": 0, "fail": 0, "running": 0}
        assert [len(row.records) for row in own.rows()] == [EPOCHS] * N_TRIALS
    ledger.close()
    assert list((folder / "checkpoints").glob("*/*")) == [], "no trial is left to continue"


def test_tuned_entries_stand_beside_the_others_on_the_same_seeds(tuned: tuple[Path, list[Any], list[Any]]) -> None:
    rows = csv_rows(tuned[0], schema.CONFIRM_CSV)
    seeds = {entry: {row["seed"] for row in rows if row["entry"] == entry} for entry in {row["entry"] for row in rows}}
    assert seeds["best1"] == seeds["la_tuned"] == seeds["kd_tuned"] == {"1001", "1002"}
    chosen = json.loads((tuned[0] / "study.json").read_text())["tuned_baselines"]
    trials = {row["entry"]: row["trial"] for row in rows}
    assert {f"{name}_tuned": str(found["chosen_trial"]) for name, found in chosen.items()}.items() <= trials.items()
    baselines = csv_rows(tuned[0], schema.BASELINES_CSV)
    assert [(row["baseline"], row["number"]) for row in baselines] == [
        (name, str(number)) for name in ("la", "kd") for number in range(N_TRIALS)
    ]


def test_a_baselines_trial_replays_equal_to_the_last_bit(tuned: tuple[Path, list[Any], list[Any]]) -> None:
    ended = Command("study.replay", str(tuned[0]), "kd-1").end()
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines[-1] == f"trial kd-1: {EPOCHS} epochs trained again, losses and counts equal to the last bit"


def test_report_comparison_and_exports_know_the_tuned_entries(tuned: tuple[Path, list[Any], list[Any]]) -> None:
    folder = tuned[0]
    study = load_study(folder)
    assert [item.baseline for item in primary_family(scores(study), claim_terms(study))] == ["la_tuned", "kd_tuned"]
    told = (folder / "report" / "report.md").read_text()
    assert "best1 − kd\\_tuned" in told
    for kind in ("parquet", "dashboard"):
        ended = Command("analysis.export", str(folder), "--to", kind).end()
        assert (ended.code, ended.err) == (0, "")
    tidy = pd.read_parquet(folder / "export" / "study.parquet")
    assert {"la_tuned", "kd_tuned"} <= set(tidy["entry"].dropna())
    assert len(tidy[(tidy["table"] == "baselines") & (tidy["variable"] == "state")]) == 2 * N_TRIALS
    other = folder.with_name("other")
    copytree(folder, other, ignore=ignore_patterns("ray", "report"))
    page = build_comparison([folder, other], folder.with_name("side"))
    assert "kd\\_tuned" in page.with_name("comparison.md").read_text()
    Ledger.open(folder / "study.db").close()  # the dashboard's export leaves it as it was
