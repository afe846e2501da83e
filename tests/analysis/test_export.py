"""Exports open in what they are for: pandas, optuna-dashboard's own server, MLflow, TensorBoard's event files."""

import json
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pandas as pd
import pytest

from analysis import export
from analysis.exports.summary import epochs_of, results
from analysis.exports.tidy import COLUMNS, dictionary, tidy
from analysis.reading.study_folder import load_study
from analysis.report import build_report
from analysis.results.ladder import ladder
from search_spaces.acckd import ACCKD_SMOKE
from tests.analysis.simulation import rewriting
from trainables.cckd.records import EpochRecord

Simulated = Callable[..., Path]
SMALL: dict[str, Any] = {"space": ACCKD_SMOKE, "n_trials": 8, "n_pruned": 2, "n_failed": 1, "n_seeds": 2}
SMALL |= {"longer": {"la": (0.9, 0.6)}, "n_long_seeds": 1}


@pytest.fixture
def folder(simulated: Simulated) -> Path:
    """A small study; one epoch of trial 0 was not evaluated."""
    made = simulated(**SMALL)
    with rewriting(made) as ledger:
        ledger.runs.add_epochs(0, [EpochRecord(1, {"total": 2.0}, 0.01, None, 1.0, 0.1)])
    return made


def test_the_tidy_table_holds_every_observation_once(folder: Path) -> None:
    study = load_study(folder)
    table = tidy(study)
    assert list(table.columns) == list(COLUMNS)
    names = [key for key in COLUMNS if key not in ("value", "text")]
    assert not table.duplicated(names).any()
    assert (table["value"].isna() ^ table["text"].isna()).all()
    of = dict(iter(table.groupby("table")))
    assert set(of) == {"trials", "epochs", "confirm", "classes", "confusion", "separability"}
    classes = of["classes"][of["classes"]["variable"] == "n_correct"]
    assert len(classes) == len(study.classes)
    assert classes["value"].sum() == study.classes["n_correct"].sum()
    rates = of["epochs"][of["epochs"]["variable"] == "val_balanced_accuracy"]
    evaluated = study.epochs["val_balanced_accuracy"].dropna()
    assert len(evaluated) == len(study.epochs) - 1
    of_runs = study.curves["val_balanced_accuracy"].tolist()
    assert rates["value"].tolist() == [*evaluated, *of_runs], "a missing value is left out, not written as one"
    best = of["confirm"].query("entry == 'best1' and variable == 'test_balanced_accuracy'")
    assert len(of["confirm"].query("epochs_factor == 2 and variable == 'test_balanced_accuracy'")) == 1
    assert best["value"].tolist() == study.confirm.query("entry == 'best1'")["test_balanced_accuracy"].tolist()
    failed = of["trials"].query("variable == 'cause'")
    assert failed["text"].tolist() == ["loss term 'cckd' became inf at epoch 3, step 7"]


def test_every_variable_of_the_table_is_in_the_dictionary(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main([str(folder), "--to", "parquet"]) == 0
    out = folder / "export"
    assert capsys.readouterr().out == f"parquet: {out / 'study.parquet'}\n"
    table, words = pd.read_parquet(out / "study.parquet"), json.loads((out / "dictionary.json").read_text())
    assert words == dictionary(load_study(folder))
    for name, rows in table.groupby("table"):
        assert set(rows["variable"]) <= set(words[name])
    assert all(told.endswith(".") for told in words["classes"].values())
    assert r"config/mix\_ratio" in (out / "dictionary.md").read_text()


@pytest.mark.parametrize("to", ["parquet", "dashboard", "tensorboard"])
def test_a_study_without_any_trial_is_exported_too(simulated: Simulated, to: str) -> None:
    folder = simulated(space=ACCKD_SMOKE, n_trials=0, n_pruned=0, n_failed=0, n_seeds=0, status="failed")
    assert export.main([str(folder), "--to", to]) == 0


@pytest.mark.usefixtures("drawn")
def test_optuna_dashboard_shows_note_attributes_and_figures(folder: Path) -> None:
    from optuna.artifacts import FileSystemArtifactStore
    from optuna_dashboard import wsgi

    build_report(folder)
    trials = load_study(folder).trials
    for _ in range(2):  # a second export replaces the first
        assert export.main([str(folder), "--to", "dashboard"]) == 0

    def get(path: str, query: str = "") -> bytes:
        status: list[str] = []
        environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": query, "wsgi.input": BytesIO()}
        setup_testing_defaults(environ)
        body = b"".join(app(environ, lambda line, *_: status.append(line)))
        assert status[0].startswith("200"), status
        return body

    store = FileSystemArtifactStore(folder / "export" / "artifacts")
    app = wsgi(f"sqlite:///{folder / 'study.db'}", artifact_store=store)
    (summary,) = json.loads(get("/api/studies"))["study_summaries"]
    detail = json.loads(get(f"/api/studies/{summary['study_id']}", "after=0"))
    note = detail["note"]["body"]
    assert note.startswith("# An indication only: fewer than 6 seeds")
    ours = [item for item in summary["user_attrs"] if item["key"].startswith("report/")]  # it cuts long ones short
    attributes = {item["key"]: json.loads(item["value"]) for item in ours}
    assert attributes["report/best1/test_all"] == results(load_study(folder))["best1/test_all"]
    figures = sorted((folder / "report" / "figures").glob("*.png"))
    assert note.count("](/artifacts/") == len(figures) == len(list((folder / "export" / "artifacts").iterdir()))
    first = note.split(f"![{figures[0].stem}](")[1].split(")")[0]
    assert get(first) == figures[0].read_bytes()
    assert len(detail["trials"]) == 8
    assert load_study(folder).trials == trials


def test_notes_are_refused_while_a_driver_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from study.lock import LOCK, study_lock

    before = (folder / "study.db").read_bytes()
    with study_lock(folder / LOCK):
        assert export.main([str(folder), "--to", "dashboard"]) == 2
    assert "one driver at a time" in capsys.readouterr().err
    assert (folder / "study.db").read_bytes() == before


def test_tensorboard_has_a_run_a_trial_with_its_epochs(folder: Path) -> None:
    from tensorboardX.proto import event_pb2

    place = export.export(folder, "tensorboard")
    assert len([path for path in place.iterdir() if path.name.startswith("trial-")]) == 8
    (file,) = (place / "trial-0000").glob("events*")
    found = {}
    content = file.read_bytes()
    while content:  # TFRecord: length, its checksum, the event, its checksum
        (length,) = struct.unpack("<Q", content[:8])
        event = event_pb2.Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
    assert found["loss_total", 1] == 2.0
    assert found["val_balanced_accuracy", 20] == pytest.approx(load_study(folder).trials[0].value, abs=1e-5)
    assert ("val_balanced_accuracy", 1) not in found


@pytest.mark.filterwarnings("ignore")  # MLflow and its parts warn of their own future
def test_mlflow_opens_the_export(folder: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is an extra: pip install 'cckd-study[tracking]'")
    for _ in range(2):  # a second export replaces the first
        database = export.export(folder, "mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{database}")
    study = load_study(folder)
    experiment = client.get_experiment_by_name(study.manifest["name"])
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"study", *(f"trial {n}" for n in range(8))}
    assert runs["study"].data.metrics["best1/test_all"] == pytest.approx(results(study)["best1/test_all"])
    one = runs["trial 1"]
    assert one.data.params == {name: str(value) for name, value in study.trials[1].params.items()}
    history = client.get_metric_history(one.info.run_id, "loss_total")
    assert [(point.step, point.value) for point in history] == [(epoch, 1.0) for epoch in (5, 10, 15, 20)]
    failed = [run for run in runs.values() if run.info.status == "FAILED"]
    assert [run.data.tags["cause"] for run in failed] == ["loss term 'cckd' became inf at epoch 3, step 7"]


@pytest.mark.filterwarnings("ignore")  # MLflow and its parts warn of their own future
@pytest.mark.parametrize("at_once", [1_000, 30])
def test_mlflow_gets_a_trial_in_few_transactions_and_all_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is an extra: pip install 'cckd-study[tracking]'")
    logged: dict[str, int] = {}
    log_batch = mlflow.MlflowClient.log_batch

    def counted(self: Any, run: str, metrics: Any = (), params: Any = (), **more: Any) -> None:
        assert len(metrics) + len(params) <= at_once
        logged[run] = logged.get(run, 0) + 1
        log_batch(self, run, metrics, params, **more)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", counted)
    for one_by_one in ("log_metric", "log_param"):
        monkeypatch.setattr(mlflow.MlflowClient, one_by_one, lambda *_, **__: pytest.fail("a transaction per value"))
    monkeypatch.setattr("analysis.exports.mlflow_runs._MOST_AT_ONCE", at_once)
    database, study = export.export(folder, "mlflow"), load_study(folder)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{database}")
    experiment = client.get_experiment_by_name(study.manifest["name"])
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    for trial in study.trials:
        run = runs[f"trial {trial.number}"]
        assert run.data.params == {name: str(value) for name, value in trial.params.items()}
        expected: dict[str, list[tuple[int, float]]] = {}
        for epoch, numbers in epochs_of(study.epochs, trial.number):
            for name, value in numbers.items():
                expected.setdefault(name, []).append((epoch, value))
        if trial.value is not None:
            expected["val_balanced_accuracy_last"] = [(0, trial.value)]
        stored = {
            name: sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, name))
            for name in run.data.metrics
        }
        assert stored == expected
        n_values = sum(map(len, expected.values()))
        assert logged[run.info.run_id] == max(1, -(-n_values // (at_once - len(trial.params))))


@pytest.mark.filterwarnings("ignore")  # MLflow and its parts warn of their own future
@pytest.mark.parametrize("name", ["a b%41?x", "50% off? #1", "a&b=c;d"])
def test_mlflow_writes_where_it_is_asked_to_whatever_the_folder_is_called(
    folder: Path, tmp_path: Path, name: str
) -> None:
    pytest.importorskip("mlflow", reason="MLflow is an extra: pip install 'cckd-study[tracking]'")
    database = export.export(folder, "mlflow", out=tmp_path / "odd" / name)
    assert database == tmp_path / "odd" / name / "mlflow.db"
    assert database.stat().st_size > 0
    assert [path.name for path in (tmp_path / "odd").iterdir()] == [name]


@pytest.mark.filterwarnings("ignore")  # its own parts warn of their future
def test_wandb_writes_offline_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="W&B is an extra: pip install 'cckd-study[tracking]'")
    monkeypatch.setenv("WANDB_API_KEY", "")
    place = export.export(folder, "wandb")
    assert len(list(place.glob("offline-run-*/run-*.wandb"))) == 9


@pytest.mark.parametrize(("to", "module"), [("mlflow", "mlflow"), ("wandb", "wandb"), ("tensorboard", "tensorboardX")])
def test_a_missing_package_is_one_message(folder: Path, monkeypatch, capsys, to: str, module: str) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    assert export.main([str(folder), "--to", to]) == 2
    said = capsys.readouterr().err
    assert said == f"error: this export needs the package {module}: pip install {module}\n"


def test_a_folder_that_is_no_study_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main([str(tmp_path), "--to", "parquet"]) == 2
    assert "is not a study folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_results_are_those_of_the_ladder(folder: Path) -> None:
    study = load_study(folder)
    found = results(study)
    assert found["la/test_all"] == next(row.cells["all"].mean for row in ladder(study) if row.entry == "la")
    assert found["best1/over_la_low"] < found["best1/over_la"] < found["best1/over_la_high"]
