"""A study folder is read whole, refused with a reason, and never changed."""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

import analysis
from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import StudyFolderError, load_study
from study.schema import CLASSES, CONFIRM, CONFUSION, EPOCHS_HEAD, EPOCHS_TAIL, FINALISTS, SEPARABILITY, TRIALS_TAIL
from tests.analysis.simulation import RECALLS

Simulated = Callable[..., Path]


def _hashes(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_finished_study_is_read_whole(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=20, n_pruned=3, n_failed=1))
    assert len(study.trials) == 20
    assert len(study.complete) == 16
    assert study.best is not None
    assert study.best.value == max(trial.value for trial in study.complete if trial.value is not None)
    assert len(study.confirm) == 7 * 6 + 1
    assert len(study.classes) == 10 * (7 * 6 + 1)
    assert study.knobs[0].name == "temperature"


def test_reading_changes_nothing(simulated: Simulated) -> None:
    folder = simulated(n_trials=6, n_pruned=0, n_failed=0)
    before = _hashes(folder)
    load_study(folder)
    assert _hashes(folder) == before


def test_a_database_that_a_driver_is_writing_to_can_be_read(simulated: Simulated) -> None:
    folder = simulated(n_trials=6, n_pruned=0, n_failed=0, n_running=1, status="running")
    driver = sqlite3.connect(folder / "study.db", isolation_level=None)
    driver.execute("BEGIN IMMEDIATE")
    driver.execute("UPDATE trials SET number = number")
    try:
        study = load_study(folder)
        assert study.running
        assert len(study.trials) == 7
    finally:
        driver.execute("ROLLBACK")
        driver.close()


def test_tables_of_the_confirmation_may_be_absent(simulated: Simulated) -> None:
    study = load_study(simulated(n_seeds=0))
    assert study.confirm.empty
    assert study.classes.empty


def test_best_is_the_finalist_with_the_best_fresh_mean_and_every_seed(simulated: Simulated) -> None:
    runs = {0: (0.70, 0.72), 3: (0.60, 0.90), 5: (0.99,), 7: (0.71, 0.71)}
    study = load_study(simulated(n_seeds=0, finalists=runs))
    assert [item.trial for item in study.ranked_finalists] == [3, 0, 7], "one run is not known well enough"
    assert study.ranked_finalists[0].fresh.mean == pytest.approx(0.75)
    assert study.best is not None
    assert study.best.number == 3
    assert study.highest_scoring is not None
    assert study.highest_scoring.value == max(trial.value for trial in study.complete)


def test_without_a_selection_best_is_the_highest_single_value(simulated: Simulated) -> None:
    study = load_study(simulated(n_seeds=0))
    assert study.ranked_finalists == ()
    assert study.best is study.highest_scoring


def test_a_class_called_na_or_nothing_stays_text(simulated: Simulated) -> None:
    study = load_study(simulated(classes=("NA", "", "null"), counts=(150, 50, 5), n_trials=2, n_pruned=0, n_failed=0))
    assert study.classes["class_name"].unique().tolist() == ["NA", "", "null"]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyFolderError, match="is not a folder"):
        load_study(tmp_path / "absent")


def test_a_folder_without_a_study_is_refused_with_both_files_named(tmp_path: Path) -> None:
    with pytest.raises(StudyFolderError, match=r"no study\.json and no study\.db"):
        load_study(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "x"}'])
def test_a_manifest_that_is_none_is_refused(simulated: Simulated, text: str) -> None:
    folder = simulated(n_trials=1, n_pruned=0, n_failed=0)
    (folder / "study.json").write_text(text)
    with pytest.raises(StudyFolderError, match=r"study\.json"):
        load_study(folder)


def test_a_space_that_cannot_be_rebuilt_is_refused(simulated: Simulated) -> None:
    folder = simulated(n_trials=1, n_pruned=0, n_failed=0)
    manifest = json.loads((folder / "study.json").read_text())
    del manifest["space"]["tunable"][0]["distribution"]
    (folder / "study.json").write_text(json.dumps(manifest))
    with pytest.raises(StudyFolderError, match="search space"):
        load_study(folder)


def test_a_database_of_something_else_is_refused(simulated: Simulated) -> None:
    folder = simulated(n_trials=1, n_pruned=0, n_failed=0)
    (folder / "study.db").write_bytes(b"not a database, " * 100)
    with pytest.raises(StudyFolderError, match=r"study\.db must be a study's intact database"):
        load_study(folder)
    (folder / "study.db").unlink()
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}")
    optuna.create_study(study_name="another", storage=storage)
    storage.engine.dispose()
    with pytest.raises(StudyFolderError, match=r"study\.db must be a study's intact database"):
        load_study(folder)


def test_the_exported_tables_are_not_read_back(simulated: Simulated) -> None:
    folder = simulated(n_trials=4, n_pruned=0, n_failed=0, n_seeds=2, finalists={0: (0.7, 0.71)})
    before = load_study(folder)
    for path in (*folder.glob("*.csv"), *folder.glob("*.parquet")):
        path.write_bytes(b"entry,seed\nla,1\nla,1\n")
    after = load_study(folder)
    for name in ("measured", "epochs", "finalists", "confirm", "classes", "confusion", "separability"):
        assert len(getattr(before, name))
        pd.testing.assert_frame_equal(getattr(before, name), getattr(after, name))


def test_the_tables_hold_what_the_exports_hold(simulated: Simulated) -> None:
    folder = simulated(n_trials=8, n_pruned=2, n_failed=1, n_seeds=2, recalls=RECALLS | {"kd_tuned": (0.9, 0.4)})
    study = load_study(folder)
    tables = {"trials": study.measured.reset_index(), "baselines": study.baselines}
    tables |= {name: getattr(study, name) for name in ("confirm", "classes", "confusion", "separability")}
    for name, table in tables.items():
        exported = pd.read_csv(folder / f"{name}.csv")
        pd.testing.assert_frame_equal(table.reset_index(drop=True), exported, check_dtype=False)
    exported = pd.read_parquet(folder / "epochs.parquet")
    parts = {"trials": study.epochs, "confirmation": study.curves}
    halves = {"trials": exported["number"].notna(), "confirmation": exported["entry"].notna()}
    for name, table in parts.items():
        assert len(table)
        there = exported[halves[name]].reset_index(drop=True)
        pd.testing.assert_frame_equal(table.fillna(np.nan), there.fillna(np.nan), check_dtype=False)


def test_a_database_that_another_program_holds_is_waited_for_with_a_line_that_names_it(
    simulated: Simulated, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("study.records.connection._COPY_TIMEOUT_S", 0.05)
    folder = simulated(n_trials=1, n_pruned=0, n_failed=0)
    with closing(sqlite3.connect(folder / "study.db", isolation_level=None, check_same_thread=False)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(0.7, holder.rollback)
        release.start()
        assert len(load_study(folder).trials) == 1
        release.join()
    told = capsys.readouterr().out.splitlines()
    assert told == [f"NOTE     {folder / 'study.db'} is held locked by another program; waiting for it"]


def test_a_report_does_not_wait_for_who_only_means_to_write(simulated: Simulated, capsys) -> None:
    folder = simulated(n_trials=1, n_pruned=0, n_failed=0)
    with closing(sqlite3.connect(folder / "study.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert len(load_study(folder).trials) == 1
    assert capsys.readouterr().out == ""


def test_a_database_that_another_program_keeps_is_refused_in_the_end(
    simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.records.connection._COPY_TIMEOUT_S", 0.05)
    monkeypatch.setattr("study.records.connection._COPY_PATIENCE_S", 0.2)
    folder = simulated(n_trials=1, n_pruned=0, n_failed=0)
    with closing(sqlite3.connect(folder / "study.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StudyFolderError, match=r"study\.db must be free to read; another program holds it locked"):
            load_study(folder)


def test_a_layout_of_another_version_is_refused(simulated: Simulated) -> None:
    folder = simulated(n_trials=1, n_pruned=0, n_failed=0)
    manifest = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(manifest | {"schema": 99}))
    newer = "is of layout 99; this version reads layouts 1 and 2; a newer version wrote it: upgrade"
    with pytest.raises(StudyFolderError, match=newer):
        load_study(folder)
    (folder / "study.json").write_text(json.dumps(manifest | {"schema": 0}))
    with pytest.raises(StudyFolderError, match=r"is of layout 0; this version reads layouts 1 and 2$"):
        load_study(folder)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE confirm_runs SET record = json_set(record, '$.test.correct[3]', 301) WHERE rowid = 2", "test"),
        ("UPDATE confirm_runs SET record = json_remove(record, '$.epochs[3].val.seen[9]') WHERE rowid = 2", "val"),
        ("UPDATE confirm_runs SET record = json_set(record, '$.epochs[0].val.seen[0]', 0) WHERE rowid = 2", "epoch 5"),
        ("UPDATE epoch_records SET record = json_set(record, '$.val.correct[0]', 1000001) WHERE epoch = 5", "trial 0"),
        ("UPDATE epoch_records SET record = json_set(record, '$.val.correct[0]', -1) WHERE number = 1", "trial 1"),
        ("UPDATE confirm_runs SET record = json_set(record, '$.test.bins.n[13]', 2999) WHERE rowid = 2", "bins"),
        (
            "UPDATE confirm_runs SET record = json_set(record, '$.test.bins.confidence[13]', 3001) WHERE rowid = 1",
            "bins",
        ),
        ("UPDATE confirm_runs SET record = json_set(record, '$.test.bins.correct[0]', 1) WHERE rowid = 1", "bins"),
        ("UPDATE selection_runs SET record = json_set(record, '$.seen[0]', 1.5)", "selection"),
    ],
)
def test_counts_that_no_evaluation_gives_are_refused(simulated: Simulated, statement: str, named: str) -> None:
    folder = simulated(n_trials=4, n_pruned=0, n_failed=0, n_seeds=2, finalists={0: (0.7,)})
    with closing(sqlite3.connect(folder / "study.db")) as database, database:
        assert database.execute(statement).rowcount
    with pytest.raises(StudyFolderError, match=r"must hold the counts that a study wrote: .*" + named) as caught:
        load_study(folder)
    assert len(caught.value.faults) == 1


def test_the_entry_for_notebooks_takes_text_and_returns_the_documented_tables(simulated: Simulated) -> None:
    folder = simulated(n_trials=4, n_pruned=0, n_failed=0, n_seeds=2, finalists={0: (0.7,)})
    study = analysis.load_study(str(folder))
    assert isinstance(study, StudyData)
    tables = {"confirm": CONFIRM, "classes": CLASSES, "finalists": FINALISTS, "confusion": CONFUSION}
    for name, columns in (tables | {"separability": SEPARABILITY}).items():
        assert list(getattr(study, name)) == list(columns)
    assert {*TRIALS_TAIL} <= {*study.measured}
    assert {*EPOCHS_HEAD, *EPOCHS_TAIL, "loss_total"} <= {*study.epochs}
    with pytest.raises(StudyFolderError, match="is not a folder"):
        analysis.load_study(str(folder / "absent"))
