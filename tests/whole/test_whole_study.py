"""A whole study, really run: its folder holds what the contract says, also after Ctrl-C in every phase."""

import json
import re
import signal
from io import BytesIO
from itertools import cycle
from pathlib import Path
from runpy import run_path
from shutil import copytree
from statistics import fmean
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from study import schema
from tests.support.commands import Command
from tests.whole.whole import SMOKE, Start, Study, interrupted, query, table_rows, wait

pytestmark = pytest.mark.slow

LADDER = ("ce", "la", "kd", "cckd", "acckd_no_fi", "acckd")
#: All trials are spread evenly, so that none hangs on the trials before it.
N_TRIALS, N_SEEDS, N_FRESH = 5, 2, 2

BUDGET = ("--trials", str(N_TRIALS), "--epochs", "6", "--confirm-seeds", str(N_SEEDS))
BUDGET += ("--finalists", "2", "--finalist-seeds", str(N_FRESH))
BUDGET += ("--long-seeds", "1", "--ablation-seeds", "1")


#: What ends a study, by a terminal or a batch system; each goes to every process of its group.
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


@pytest.fixture(scope="module")
def smoke(run_alone: Start) -> Study:
    """The study most tests read; two trials at a time, on a machine with one core too."""
    path, command = run_alone("smoke", *SMOKE, *BUDGET, "--cpus-per-trial", "0.5", "--max-concurrent", "2")
    return Study(path, command.end())


def test_it_ends_well_and_says_where_it_is(smoke: Study) -> None:
    assert (smoke.ended.code, smoke.ended.err) == (0, "")
    assert smoke.ended.lines[-1] == f"study: {smoke.path}"
    assert smoke.manifest["status"] == "done"


def test_its_output_is_ours_alone_and_fits_80_columns(smoke: Study) -> None:
    assert [line for line in smoke.ended.lines if re.search(r"\bray\b|raylet|pid=|WARNING|INFO", line)] == []
    assert [line for line in smoke.ended.lines if len(line) > 80 and str(smoke.path) not in line] == []
    assert str(smoke.path / "report" / "index.html") in smoke.ended.out
    assert f"optuna-dashboard sqlite:///{smoke.path / 'study.db'}" in smoke.ended.out


def test_every_file_that_it_left_is_one_that_the_damage_tests_spoil(smoke: Study) -> None:
    uncovered = run_path(str(Path(__file__).parents[1] / "faults" / "test_damage.py"))["uncovered"]
    assert uncovered(smoke.path) == []
    assert uncovered(smoke.path.parent / "data") == []


def test_the_folder_holds_what_the_contract_names(smoke: Study) -> None:
    names = {
        "study.json",
        "study.yaml",
        "study.db",
        "trials.csv",
        "epochs.parquet",
        "confirm.csv",
        "classes.csv",
        "run.log",
    }
    names |= {"confusion.csv", "separability.csv", "ablation.csv"}
    names |= {"models/best1.safetensors", "models/best1.json", "report/index.html", "report/report.md"}
    assert {name for name in names if not (smoke.path / name).is_file()} == set()
    assert list((smoke.path / "checkpoints").glob("*")) == [], "no trial is left to continue"
    assert list((smoke.path / "report" / "figures").glob("*.png"))
    assert list((smoke.path / "report" / "tables").glob("*.csv"))


def test_tables_have_exactly_the_published_columns(smoke: Study) -> None:
    import pyarrow.parquet as pq

    knobs = [f"config/{knob}" for knob in ("temperature", "mix_ratio", "estimator")]
    assert list(smoke.csv("trials.csv")[0]) == [*schema.TRIALS_HEAD, *knobs, *schema.TRIALS_TAIL]
    assert list(smoke.csv("confirm.csv")[0]) == list(schema.CONFIRM)
    assert list(smoke.csv("classes.csv")[0]) == list(schema.CLASSES)
    assert list(smoke.csv("confusion.csv")[0]) == list(schema.CONFUSION)
    assert list(smoke.csv("separability.csv")[0]) == list(schema.SEPARABILITY)
    assert list(smoke.csv("ablation.csv")[0]) == list(schema.ABLATION)
    columns = pq.read_table(smoke.path / "epochs.parquet").column_names
    losses = [column for column in columns if column.startswith(schema.LOSS_PREFIX)]
    assert columns == [*schema.EPOCHS_HEAD, *losses, *schema.EPOCHS_TAIL]
    assert "loss_total" in losses


def test_study_db_has_exactly_the_trials_asked_for_and_none_running(smoke: Study) -> None:
    assert smoke.states() == ["COMPLETE"] * N_TRIALS
    counts = smoke.manifest["counts"]
    assert counts == {state: smoke.states().count(state.upper()) for state in counts}


def test_the_reference_point_came_first_and_once(smoke: Study) -> None:
    params = [trial.params for trial in smoke.trials()]
    assert params[0] == {"temperature": 2.0, "mix_ratio": 0.5, "estimator": "batch"}
    assert params.count(params[0]) == 1


def test_optuna_dashboard_opens_study_db(smoke: Study) -> None:
    from optuna_dashboard import wsgi

    def get(path: str, query: str = "") -> dict[str, Any]:
        status: list[str] = []
        environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": query, "wsgi.input": BytesIO()}
        setup_testing_defaults(environ)
        body = b"".join(app(environ, lambda line, *_: status.append(line)))
        assert status[0].startswith("200")
        return json.loads(body)

    app = wsgi(f"sqlite:///{smoke.path / 'study.db'}")
    (summary,) = get("/api/studies")["study_summaries"]
    assert summary["study_name"] == "search"
    detail = get(f"/api/studies/{summary['study_id']}", "after=0")
    assert len(detail["trials"]) == N_TRIALS
    assert detail["objective_names"] == [schema.METRIC]


def test_trials_csv_agrees_with_study_db(smoke: Study) -> None:
    rows, trials = smoke.csv("trials.csv"), smoke.trials()
    assert [int(row["number"]) for row in rows] == list(range(N_TRIALS))
    for row, trial in zip(rows, trials, strict=True):
        assert (row["state"], row["cause"], row["attempts"]) == (trial.state.name, "", "1")
        assert {knob: row[f"config/{knob}"] for knob in trial.params} == {k: str(v) for k, v in trial.params.items()}
        last = trial.intermediate_values[max(trial.intermediate_values)]
        assert float(row["val_balanced_accuracy_last"]) == last
        assert int(row["epochs"]) == max(trial.intermediate_values)
        if row["state"] == "COMPLETE":
            assert (trial.value, int(row["epochs"])) == (last, 6)


def test_epochs_hold_every_epoch_of_every_trial_once(smoke: Study) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(smoke.path / "epochs.parquet", columns=["number", "epoch"]).to_pydict()
    wanted = [(int(row["number"]), k) for row in smoke.csv("trials.csv") for k in range(1, int(row["epochs"]) + 1)]
    found = zip(table["number"], table["epoch"], strict=True)
    assert [(number, epoch) for number, epoch in found if number is not None] == wanted


def test_epochs_hold_the_curve_of_every_confirmed_run(smoke: Study) -> None:
    import pyarrow.parquet as pq

    rows = pq.read_table(smoke.path / "epochs.parquet").to_pylist()
    curves: dict[tuple[str, str, int], list[float | None]] = {}
    for row in rows:
        if row["entry"] is not None:
            run = row["entry"], str(row["seed"]), row["epochs_factor"]
            curves.setdefault(run, []).append(row["val_balanced_accuracy"])
    confirmed = {(row["entry"], row["seed"], int(row["epochs_factor"])): row for row in smoke.csv("confirm.csv")}
    assert curves.keys() == {run for run in confirmed if run[0] != "teacher"}
    for run, values in curves.items():
        assert len(values) == 6 * run[2]
        assert None not in values, "a short run is evaluated at every epoch"
        assert values[-1] == float(confirmed[run]["val_balanced_accuracy"])


def test_confirm_csv_has_every_entry_on_the_same_seeds_and_the_teacher_once(smoke: Study) -> None:
    found = [(row["entry"], row["seed"], row["epochs_factor"]) for row in smoke.csv("confirm.csv")]
    seeds = [str(1000 + k) for k in range(1, N_SEEDS + 1)]
    wanted = [("teacher", "", "1"), *((entry, seed, "1") for entry in ("best1", *LADDER) for seed in seeds)]
    assert sorted(found[: len(wanted)]) == sorted(wanted)
    assert sorted(found[len(wanted) :]) == sorted((entry, seeds[0], "2") for entry in ("best1", "la", "kd"))
    for row in smoke.csv("confirm.csv"):
        expected = "reference" if row["entry"] in LADDER else "val"
        assert row["selected_on"] == expected
        assert 0 <= float(row["test_balanced_accuracy"]) <= 1
    best = {row["trial"] for row in smoke.csv("confirm.csv") if row["entry"] == "best1"}
    assert best == {_best_of_fresh_runs(smoke)}


def _best_of_fresh_runs(study: Study) -> str:
    runs: dict[str, list[float]] = {}
    for row in study.csv("finalists.csv"):
        runs.setdefault(row["trial"], []).append(float(row["val_balanced_accuracy"]))
    assert {len(values) for values in runs.values()} == {N_FRESH}, "every finalist has every fresh seed"
    assert "0" in runs, "the reference point is always tried"
    return min(runs, key=lambda trial: (-fmean(runs[trial]), int(trial)))


def test_classes_csv_counts_the_whole_test_set_for_every_run(smoke: Study) -> None:
    confirmed = {(row["entry"], row["seed"], row["epochs_factor"]): row for row in smoke.csv("confirm.csv")}
    by_run: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in smoke.csv("classes.csv"):
        by_run.setdefault((row["entry"], row["seed"], row["epochs_factor"]), []).append(row)
    assert by_run.keys() == confirmed.keys()
    for run, rows in by_run.items():
        assert sum(int(row["n_test"]) for row in rows) == 400
        assert [int(row["n_train"]) for row in rows] == smoke.manifest["data"]["n_train"]
        recalls = [int(row["n_correct"]) / int(row["n_test"]) for row in rows]
        assert float(confirmed[run]["test_balanced_accuracy"]) == pytest.approx(sum(recalls) / 10, abs=1e-12)


def test_the_exported_model_loads_and_repeats_its_recorded_test_counts(smoke: Study) -> None:
    import numpy as np
    import torch

    from trainables.cckd.data.load import load_data
    from trainables.cckd.data.spec import parse_data
    from trainables.cckd.students.export import load_model

    written = json.loads((smoke.path / "models" / "best1.json").read_text())
    test = load_data(parse_data(smoke.manifest["data"]["spec"]), data_root=smoke.path.parent / "data").test
    mean, std = (np.array(written[key])[:, None, None] for key in ("pixel_mean", "pixel_std"))
    pixels = torch.from_numpy(((test.images / 255 - mean) / std).astype(np.float32))
    with torch.no_grad():
        predicted = load_model(smoke.path / "models", "best1")(pixels)[0].argmax(1).numpy()
    correct = np.bincount(test.labels[predicted == test.labels], minlength=10)
    assert written["classes"] == smoke.manifest["data"]["classes"]
    # Another memory layout may round an image on a boundary to its other side.
    assert np.abs(correct - written["test"]["correct"]).sum() <= 2
    key = ("entry", "seed", "epochs_factor")
    of_best = [row for row in smoke.csv("classes.csv") if [row[name] for name in key] == ["best1", "1001", "1"]]
    assert [int(row["n_correct"]) for row in of_best] == written["test"]["correct"]


def test_the_teacher_saw_every_view_exactly_once(smoke: Study) -> None:
    data, teacher = smoke.manifest["data"], smoke.manifest["teacher"]
    assert teacher["forward_passes"] == 2 * sum(data["n_train"]) + sum(data["n_val"]) + sum(data["n_test"])


def test_the_report_is_one_file_that_names_the_study(smoke: Study) -> None:
    html = (smoke.path / "report" / "index.html").read_text()
    assert "smoke" in html
    assert "acckd_smoke" in html
    assert re.findall(r"""(?:src|href)=["'](?!#|data:)([^"']+)""", html) == []


def test_a_trial_replays_equal_to_the_last_bit(smoke: Study) -> None:
    ended = Command("study.replay", str(smoke.path), "1").end()
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines[-1] == "trial 1: 6 epochs trained again, losses and counts equal to the last bit"


def test_extending_a_study_keeps_its_rows_and_reaches_the_new_total(smoke: Study) -> None:
    path = smoke.path.with_name("extended")
    copytree(smoke.path, path)
    before = smoke.csv("trials.csv")
    command = Command("study.resume", str(path), "--trials", str(N_TRIALS + 2), "--max-concurrent", "1")
    extended = Study(path, command.end())
    assert (extended.ended.code, extended.ended.err) == (0, "")
    assert extended.csv("trials.csv")[:N_TRIALS] == before
    assert len(extended.states()) == N_TRIALS + 2
    assert "RUNNING" not in extended.states()
    assert extended.manifest["teacher"]["forward_passes"] == smoke.manifest["teacher"]["forward_passes"]

    rungs = [row for row in smoke.csv("confirm.csv") if row["entry"] in (*LADDER, "teacher")]
    assert [row for row in extended.csv("confirm.csv") if row["entry"] in (*LADDER, "teacher")] == rungs
    best = [row["trial"] for row in extended.csv("confirm.csv") if row["entry"] == "best1"]
    assert best == [_best_of_fresh_runs(extended)] * (N_SEEDS + 1)


def test_wrong_usage_of_resume_is_refused_and_changes_nothing(smoke: Study) -> None:
    before = (smoke.path / "study.json").read_bytes(), table_rows(smoke.path, "study_user_attributes")
    ended = Command("study.resume", str(smoke.path), "--trials", str(N_TRIALS - 1)).end()
    assert ended.code == 2
    assert f"must not be below the {N_TRIALS} trials already run; got {N_TRIALS - 1}" in ended.err
    assert ((smoke.path / "study.json").read_bytes(), table_rows(smoke.path, "study_user_attributes")) == before


def test_its_own_file_starts_it_again_and_a_signal_in_every_phase_loses_nothing_nor_does_one_worker_for_two(
    run_alone: Start, smoke: Study, tmp_path: Path
) -> None:
    started_again = ("--config", str(smoke.path / schema.CONFIG), "--cpus-per-trial", "1", "--max-concurrent", "1")
    path, command = run_alone("phases", *started_again, "--data-root", str(tmp_path))
    begun = {
        "teacher": lambda: any(tmp_path.glob("teacher-cache/*/parts/*.safetensors")),
        "search": lambda: len(table_rows(path, "epoch_records")) >= 3,
        "selection": lambda: len(table_rows(path, "selection_runs")) >= 1,
        "confirm": lambda: len(table_rows(path, "confirm_runs")) >= 2,
        "longer": lambda: bool(query(path, "SELECT 1 FROM confirm_runs WHERE epochs_factor > 1")),
        "ablation": lambda: len(table_rows(path, "ablation_runs")) >= 1,
    }
    kept: list[Any] = []
    for (phase, is_under_way), number in zip(begun.items(), cycle(ENDING), strict=False):
        wait(command, is_under_way)
        command.interrupt(number)
        interrupted(path, command)
        assert command.left_behind() == [], phase
        tables = ("selection_runs", "confirm_runs", "ablation_runs")
        runs = [row for table in tables for row in table_rows(path, table)]
        assert [run for run in kept if run not in runs] == [], phase
        kept, command = runs, Command("study.resume", str(path))
    study = Study(path, command.end())
    assert (study.ended.code, study.manifest["status"], len(study.manifest["starts"])) == (0, "done", 1 + len(begun))
    assert study.states().count("RUNNING") == 0
    assert len(study.states()) == N_TRIALS
    assert study.results() == smoke.results()
    again, first = (sorted(one.csv("confirm.csv"), key=str) for one in (study, smoke))
    assert again == first
