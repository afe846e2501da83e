"""A study as an MLflow experiment in a local SQLite store: one run for the study, and one nested run per trial."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from analysis.exports.summary import about, about_trial, epochs_of, results
from analysis.reading.study_data import StudyData
from study.schema import METRIC, REPORT, sqlite_url

_MOST_RUNS = 50_000  # the most that MLflow returns at once
_MOST_AT_ONCE = 1_000  # the most metrics and parameters that MLflow takes in one transaction


def write_mlflow(study: StudyData, out: Path) -> Path:
    """Write `out`/mlflow.db and its artifacts; return the path of mlflow.db (`mlflow ui --backend-store-uri sqlite:///...`).

    MLflow itself refuses its older store, a folder of files, since 3.17.
    """
    from mlflow import MlflowClient

    database = out / "mlflow.db"
    url = sqlite_url(database.resolve())
    spelled = Path(url.removeprefix("sqlite:///").partition("?")[0])
    missing = [folder for folder in spelled.parents if not folder.exists()]
    client = MlflowClient(tracking_uri=url)
    with suppress(OSError):  # of a quoted path MLflow makes the folders as they are spelled, and writes nothing there
        for folder in missing:
            folder.rmdir()
    experiment = _empty_experiment(client, str(study.manifest["name"]), (out / "mlflow-artifacts").resolve().as_uri())
    parent = client.create_run(experiment, run_name="study", tags=about(study)).info.run_id
    _log(client, parent, [(name, value, 0) for name, value in results(study).items()], {})
    page = study.folder / REPORT / "index.html"
    if page.is_file():
        client.log_artifact(parent, str(page))
    table = study.epochs
    for trial in study.trials:
        tags = {**about_trial(trial), "mlflow.parentRunId": parent}
        run = client.create_run(experiment, run_name=f"trial {trial.number}", tags=tags).info.run_id
        measured = [
            (name, value, epoch) for epoch, numbers in epochs_of(table, trial.number) for name, value in numbers.items()
        ]
        last = [] if trial.value is None else [(f"{METRIC}_last", trial.value, 0)]
        _log(client, run, measured + last, trial.params)
        client.set_terminated(run, status="FAILED" if trial.state.name == "FAIL" else "FINISHED")
    client.set_terminated(parent)
    return database


def _log(client: Any, run: str, metrics: Sequence[tuple[str, float, int]], params: Mapping[str, Any]) -> None:
    """Log a run's parameters, and metrics as (name, value, step), in as few transactions as MLflow takes."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    settings = [Param(name, str(value)) for name, value in params.items()]
    values = [Metric(name, value, now, step) for name, value, step in metrics]
    step = _MOST_AT_ONCE - len(settings)
    for start in range(0, max(1, len(values)), step):
        client.log_batch(run, values[start : start + step], () if start else settings)


def _empty_experiment(client: Any, name: str, artifacts: str) -> str:
    """Return the id of the experiment `name`, with the runs of an earlier export deleted."""
    known = client.get_experiment_by_name(name)
    if known is None:
        return str(client.create_experiment(name, artifact_location=artifacts))
    if known.lifecycle_stage != "active":
        client.restore_experiment(known.experiment_id)
    for run in client.search_runs([known.experiment_id], max_results=_MOST_RUNS):
        client.delete_run(run.info.run_id)
    return str(known.experiment_id)
