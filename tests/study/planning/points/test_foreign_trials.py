"""Trials of other tools are read as they stand, from storages that plain Optuna wrote and from CSV files."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from study.planning.points.foreign_trials import ForeignTrial, read_source
from trainables.cckd.errors import UsageError

Made = Callable[..., Path]


@pytest.fixture(scope="module")
def storages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by plain Optuna: `one.db` with a trial of each state, `two.db` with two studies, `front.db` with a front."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = tmp_path_factory.mktemp("storages")

    def objective(trial: optuna.Trial) -> float:
        tau = trial.suggest_float("tau", 0.0, 3.0)
        use_kd = trial.suggest_categorical("use_kd", [False, True])
        if use_kd:
            trial.suggest_int("k", 1, 4)
        trial.report(0.1, step=1)
        if trial.number == 2:
            raise optuna.TrialPruned
        if trial.number == 3:
            raise ValueError
        return 0.5 + 0.1 * tau

    one = optuna.create_study(
        storage=f"sqlite:///{folder / 'one.db'}",
        study_name="tune",
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=3),
    )
    one.optimize(objective, n_trials=5, catch=(ValueError,))
    one.ask()
    for name in ("a", "b"):
        optuna.create_study(storage=f"sqlite:///{folder / 'two.db'}", study_name=name)
    optuna.create_study(storage=f"sqlite:///{folder / 'front.db'}", study_name="f", directions=["maximize"] * 2)
    return folder


def test_a_storage_of_plain_optuna_is_read_with_every_state_and_stays_as_it_is(storages: Path) -> None:
    path = storages / "one.db"
    before = path.read_bytes()
    expected = optuna.load_study(study_name="tune", storage=f"sqlite:///{path}").trials
    for source in (str(path), f"sqlite:///{path}"):
        found = read_source(source, study=None, value=None)
        assert (found.file, found.study, found.direction) == ("one.db", "tune", "maximize")
        assert [trial.state for trial in found.trials] == [
            "COMPLETE",
            "COMPLETE",
            "PRUNED",
            "FAIL",
            "COMPLETE",
            "RUNNING",
        ]
        assert [trial.fields for trial in found.trials] == [trial.params for trial in expected]
        assert [trial.value for trial in found.trials if trial.state == "COMPLETE"] == [
            trial.value for trial in expected if trial.state.name == "COMPLETE"
        ]
    assert path.read_bytes() == before
    assert sorted(file.name for file in storages.iterdir()) == ["front.db", "one.db", "two.db"]


def test_a_study_of_ours_is_taken_as_it_is(tmp_path: Path) -> None:
    optuna.create_study(storage=f"sqlite:///{tmp_path / 'study.db'}", study_name="search")
    assert read_source(str(tmp_path / "study.db"), study=None, value=None).trials == ()
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(UsageError, match=r"study\.db is of a study of ours, whose folder --warm-start takes itself"):
        read_source(str(tmp_path / "study.db"), study=None, value=None)


def test_a_csv_file_is_read_with_its_lines_and_its_states(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("tau,score,state\n1,0.5,COMPLETE\n\n2,,\n3,0.7,fail\n")
    found = read_source(str(tmp_path / "a.csv"), study=None, value="score")
    assert found.trials == (
        ForeignTrial(2, "COMPLETE", {"tau": "1"}, "0.5"),
        ForeignTrial(4, "COMPLETE", {"tau": "2"}, None),
        ForeignTrial(5, "FAIL", {"tau": "3"}, "0.7"),
    )
    assert (found.study, found.direction, str(found)) == (None, None, "a.csv")


def test_a_tools_prefix_and_another_name_become_the_knob(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("params_tau,config/lr,rate,params_note,value\n1,2,3,x,4\n")
    found = read_source(str(tmp_path / "a.csv"), study=None, value=None)
    renamed = found.renamed({"rate": "lr"}, {"tau", "lr"} - {"lr"})
    assert renamed.columns == ("tau", "config/lr", "lr", "params_note")
    with pytest.raises(UsageError, match=r"a\.csv: config/lr and rate would both be lr"):
        found.renamed({"rate": "lr"}, {"tau", "lr"})


@pytest.mark.parametrize(
    ("source", "study", "value", "fault"),
    [
        ("two.db", None, None, r"--study must name one of a, b in .*two\.db; got none"),
        ("two.db", "c", None, r"--study must name one of a, b in .*two\.db; got 'c'"),
        ("front.db", None, None, r"a study with one objective is needed; 'f' has 2"),
        ("one.db", None, "tau", r"--value names a column of a CSV file; .*one\.db is an SQLite file"),
        ("other.db", None, None, r"other\.db holds no study of Optuna's"),
        ("torn.db", None, None, r"torn\.db must be an intact SQLite file of this version of Optuna; DatabaseError"),
        ("old.db", None, None, r"old\.db must be an intact SQLite file of this version of Optuna; RuntimeError"),
        ("a.csv", "tune", None, r"--study names a study in an SQLite file of Optuna's; .*a\.csv is a CSV file"),
        ("a.csv", None, "score", r"--value must be a column of .*a\.csv, one of tau, value; got 'score'"),
        ("a.txt", None, None, r"SOURCE must be a CSV file, named \.csv, or an SQLite file of Optuna's; got"),
        ("gone.db", None, None, r"SOURCE must be a file that can be read; .*gone\.db: No such file"),
    ],
)
def test_a_source_that_cannot_be_read_is_one_line(storages: Path, tmp_path: Path, source, study, value, fault) -> None:
    for name in ("one.db", "two.db", "front.db"):
        shutil.copy(storages / name, tmp_path)
    for name in ("a.csv", "a.txt"):
        (tmp_path / name).write_text("tau,value\n1,2\n")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE mine (x)")
    whole = (tmp_path / "one.db").read_bytes()
    (tmp_path / "torn.db").write_bytes(whole[: len(whole) // 2])
    shutil.copy(storages / "one.db", tmp_path / "old.db")
    with closing(sqlite3.connect(tmp_path / "old.db")) as old, old:
        old.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    with pytest.raises(UsageError, match=fault) as caught:
        read_source(str(tmp_path / source), study=study, value=value)
    assert len(caught.value.faults) == 1
    assert "\n" not in caught.value.faults[0]


@pytest.mark.parametrize("source", ["~nobody-of-this-name/a.csv", "sqlite:///~nobody-of-this-name/a.db"])
def test_the_home_of_nobody_is_a_folder_that_is_not_there(source: str) -> None:
    with pytest.raises(UsageError, match=r"SOURCE must be a file that can be read; .*: No such file"):
        read_source(source, study=None, value=None)
