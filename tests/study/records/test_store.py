"""The study folder: names, refusals, the manifest, and tables whose columns are the schema's."""

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from study import schema
from study.records.store import StoreError, StudyStore

GROUPS = {"many": (0,), "medium": (1,), "few": (), "tercile_high": (0,)}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture
def store(tmp_path) -> StudyStore:
    return StudyStore.create(tmp_path, "toy")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..", ".", "x" * 65, "é"])
def test_a_name_no_folder_may_have_is_refused(tmp_path, name) -> None:
    with pytest.raises(StoreError, match="a study's name is"):
        StudyStore.create(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_name_is_refused_with_the_resume_command(store) -> None:
    with pytest.raises(StoreError, match=f"python -m study.resume {store.path}"):
        StudyStore.create(store.path.parent, "toy")


def test_the_paths_are_absolute_and_as_the_schema_names_them(store, monkeypatch) -> None:
    monkeypatch.chdir(store.path.parent)
    again = StudyStore(Path("toy"))
    assert again.path == store.path
    assert again.database == store.path / "study.db"
    assert again.manifest_path == store.path / "study.json"


def test_a_folder_without_a_manifest_or_with_another_layout_is_no_study(store) -> None:
    with pytest.raises(StoreError, match=r"has a study\.json"):
        StudyStore.open(store.path)
    store.write_manifest({"schema": 99})
    with pytest.raises(
        StoreError, match="is of layout 99, which a newer version wrote; this version reads layout 2: upgrade"
    ):
        StudyStore.open(store.path)
    for odd in ("2", None, 0):
        store.write_manifest({"schema": odd})
        with pytest.raises(StoreError, match=f"must be of layout 2; got layout {odd!r}"):
            StudyStore.open(store.path)
    store.write_manifest({"schema": 1})
    with pytest.raises(
        StoreError, match=r"is of layout 1, .* version 0\.2\.0 can continue it, this version only reports"
    ):
        StudyStore.open(store.path)
    store.write_manifest({"schema": 2})
    assert StudyStore.open(store.path).path == store.path


def test_updating_the_manifest_keeps_its_other_entries(store) -> None:
    store.write_manifest({"schema": 2, "status": "running", "name": "toy"})
    assert store.update_manifest(status="done") == {"schema": 2, "status": "done", "name": "toy"}
    assert store.manifest()["status"] == "done"


def test_the_tables_have_the_schemas_columns_and_last_evaluated_values(store, ledger, space, seed_of, epoch) -> None:
    ledger.ask(seed_of)
    ledger.start_attempt(0)
    ledger.record(0, [epoch(1, 3, loss=float("nan")), epoch(2, 6), epoch(3, None)])
    ledger.prune(0)
    ledger.ask(seed_of)
    ledger.fail(1, "no, really")
    store.export_tables(ledger, space, GROUPS)

    knobs = ["config/" + name for name in space.distributions]
    pruned, failed = _rows(store.path / "trials.csv")
    assert list(pruned) == [*schema.TRIALS_HEAD, *knobs, *schema.TRIALS_TAIL]
    assert pruned == {
        "number": "0",
        "state": "PRUNED",
        "cause": "",
        "config/tau": "1.0",
        "config/lr": "0.2",
        "config/depth": "2",
        "config/switch": "False",
        "config/inner": "",
        "epochs": "3",
        "val_balanced_accuracy_last": "0.8",
        "val_many": "0.6",
        "val_medium": "1.0",
        "val_few": "",
        "duration_s": "7.5",
        "attempts": "1",
        "seed": str(2**62 + 4),
        "stopped": "pruned at epoch 3",
        "pruned_value": "",
        "pruned_threshold": "",
    }
    assert (failed["state"], failed["cause"], failed["epochs"]) == ("FAIL", "no, really", "0")
    assert failed["val_many"] == ""
    assert failed["stopped"] == "failed: no, really"

    table = pq.read_table(store.path / "epochs.parquet")
    losses = ["loss_total", "loss_sup"]
    assert table.column_names == [*schema.EPOCHS_HEAD, *losses, *schema.EPOCHS_TAIL]
    assert table["val_balanced_accuracy"].to_pylist() == [pytest.approx(0.65), pytest.approx(0.8), None]
    first, *others = table["loss_total"].to_pylist()
    assert first != first  # the loss that diverged is still seen to have diverged
    assert others == [1.0, 1.0]
    assert not (store.path / "confirm.csv").exists()


def test_an_empty_search_has_empty_tables_with_all_columns(store, ledger, space) -> None:
    store.export_tables(ledger, space, GROUPS)
    assert _rows(store.path / "trials.csv") == []
    assert "loss_total" in pq.read_table(store.path / "epochs.parquet").column_names


def test_confirmed_runs_fill_confirm_and_classes(store, ledger, space) -> None:
    store.write_manifest({"schema": 2, "data": {"classes": ["a, b", "c"], "n_train": [200, 50]}})
    counts = {"correct": [6, 10], "seen": [10, 20]}
    ledger.runs.add_confirm_run("la", 1001, None, {"test": counts, "val": None, "selected_on": "reference"})
    bins = {
        "n": [0] * 11 + [30, 0, 0, 0],
        "confidence": [0] * 11 + [24.0, 0, 0, 0],
        "correct": [0] * 11 + [16, 0, 0, 0],
    }
    judged = {**counts, "bins": bins}
    ledger.runs.add_confirm_run("best1", 1001, 17, {"test": judged, "val": counts, "selected_on": "val"}, data_seed=2)
    ledger.runs.add_confirm_run("teacher", None, None, {"test": counts, "val": counts, "selected_on": "val"})
    store.export_tables(ledger, space, GROUPS)

    la, best, teacher = _rows(store.path / "confirm.csv")
    assert list(la) == list(schema.CONFIRM)
    assert best == {
        "entry": "best1",
        "seed": "1001",
        "data_seed": "2",
        "test_balanced_accuracy": "0.55",
        "test_accuracy": str(16 / 30),
        "test_many": "0.6",
        "test_medium": "0.5",
        "test_few": "",
        "selected_on": "val",
        "val_balanced_accuracy": "0.55",
        "trial": "17",
        "test_worst": "0.5",
        "test_harmonic": str(2 / (1 / 0.6 + 1 / 0.5)),
        "test_ece": str(abs(16 - 24.0) / 30),
        "epochs_factor": "1",
    }
    assert la["test_ece"] == "", "runs of an earlier version have no bins of confidence"
    assert (la["val_balanced_accuracy"], la["trial"], teacher["seed"]) == ("", "", "")
    assert pq.read_table(store.path / "epochs.parquet").num_rows == 0, "runs of an earlier version have no curve"
    assert not (store.path / "confusion.csv").exists(), "runs of an earlier version have no confusion"
    classes = _rows(store.path / "classes.csv")
    assert list(classes[0]) == list(schema.CLASSES)
    assert len(classes) == 6
    assert classes[0] == {
        "entry": "la",
        "seed": "1001",
        "data_seed": "0",
        "class_id": "0",
        "class_name": "a, b",
        "n_train": "200",
        "n_test": "10",
        "n_correct": "6",
        "epochs_factor": "1",
    }


def test_the_epochs_of_a_confirmed_run_stand_behind_those_of_the_trials(store, ledger, space, seed_of, epoch) -> None:
    store.write_manifest({"schema": 1, "data": {"classes": ["a", "b"], "n_train": [200, 50]}})
    ledger.ask(seed_of)
    ledger.record(0, [epoch(1, 3)])
    test = {"correct": [6, 10], "seen": [10, 10]}
    record = {"test": test, "selected_on": "reference", "epochs": [epoch(1, None), epoch(2, 6)]}
    ledger.runs.add_confirm_run("la", 1001, None, record, epochs_factor=2)
    store.export_tables(ledger, space, GROUPS)

    (la,) = _rows(store.path / "confirm.csv")
    assert (la["epochs_factor"], la["val_balanced_accuracy"]) == ("2", "0.8")
    rows = pq.read_table(store.path / "epochs.parquet").to_pylist()
    keys = ("number", "epoch", "entry", "seed", "data_seed", "epochs_factor")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        (0, 1, None, None, None, None),
        (None, 1, "la", 1001, 0, 2),
        (None, 2, "la", 1001, 0, 2),
    ]
    values = [(row["val_balanced_accuracy"], row["val_many"], row["val_medium"], row["val_few"]) for row in rows]
    assert values == [(pytest.approx(0.65), 0.3, 1.0, None), (None,) * 4, (pytest.approx(0.8), 0.6, 1.0, None)]
    assert [row["loss_total"] for row in rows] == [1.0, 1.0, 1.0]


def test_confusion_holds_the_pairs_that_occurred(store, ledger, space) -> None:
    store.write_manifest({"schema": 2, "data": {"classes": ["a", "b"], "n_train": [200, 50]}})
    test = {"correct": [6, 10], "seen": [10, 10], "confusion": [[0, 0, 6], [0, 1, 4], [1, 1, 10]]}
    ledger.runs.add_confirm_run("la", 1001, None, {"test": test, "val": None, "selected_on": "reference"}, data_seed=1)
    store.export_tables(ledger, space, GROUPS)
    assert not (store.path / "separability.csv").exists()
    rows = _rows(store.path / "confusion.csv")
    assert list(rows[0]) == list(schema.CONFUSION)
    assert [tuple(row.values()) for row in rows] == [
        ("la", "1001", "1", "0", "0", "6", "1"),
        ("la", "1001", "1", "0", "1", "4", "1"),
        ("la", "1001", "1", "1", "1", "10", "1"),
    ]


def test_separability_has_a_row_a_class_and_empty_fields_where_nothing_was_seen(store, ledger, space) -> None:
    store.write_manifest({"schema": 2, "data": {"classes": ["a", "b"], "n_train": [200, 50]}})
    test = {"correct": [6, 10], "seen": [10, 10]}
    distances = {"deviation": [0.5, None], "intra": [1.0, 2.0], "inter": [4.0, 4.0]}
    record = {"test": test, "val": None, "selected_on": "reference", "separability": distances}
    ledger.runs.add_confirm_run("la", 1001, None, record)
    store.export_tables(ledger, space, GROUPS)
    rows = _rows(store.path / "separability.csv")
    assert list(rows[0]) == list(schema.SEPARABILITY)
    assert [tuple(row.values()) for row in rows] == [
        ("la", "1001", "0", "0", "0.5", "1.0", "4.0", "1"),
        ("la", "1001", "0", "1", "", "2.0", "4.0", "1"),
    ]
