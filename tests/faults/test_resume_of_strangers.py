"""Resuming a folder from a stranger: what it names is data; nothing is joined, followed, imported or obeyed."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from study import confirm, resume
from study.entry.continuation import analyses
from study.phases.session import begin as beginning
from study.phases.session import to_report
from study.phases.session.begin import begin
from study.planning.check import check
from study.planning.parser import build_parser
from trainables.cckd.errors import ConfigError, TeacherError
from trainables.cckd.files.sealed import sealed
from trainables.cckd.students.build import build_student
from trainables.cckd.teacher.spec import TeacherSpec, check_teacher


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that has begun, its phases played."""
    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.report.build_report", lambda path: path / "report" / "index.html")
        patch.setattr(to_report, "drive", lambda study: None)
        what = ["--space", "acckd_smoke", "--data", "digits_lt", "--out", str(runs), "--name", "theirs"]
        begin(check(build_parser().parse_args([*what, "--trials", "4"])), "...", analyses())
    return runs / "theirs"


@pytest.fixture
def folder(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, whose phases must not be reached again."""
    monkeypatch.setattr("analysis.report.build_report", lambda path: path / "report" / "index.html")
    monkeypatch.setattr(to_report, "drive", lambda study: pytest.fail("the study was driven"))
    return Path(shutil.copytree(begun, tmp_path / "runs" / "theirs"))


def _rewrite(folder: Path, *path: str | int, to: Any) -> None:
    content = manifest = json.loads((folder / "study.json").read_text())
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = to
    # A stranger seals what they altered, and keeps no copy of what it was.
    (folder / "study.json").write_text(json.dumps(sealed(manifest)))


def _refused(folder: Path, capsys: pytest.CaptureFixture[str], run: Callable[[list[str]], int] = resume.main) -> str:
    capsys.readouterr()
    assert run([str(folder)]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    assert "\x1b" not in said.err
    return said.err


@pytest.mark.parametrize("run", [resume.main, confirm.main])
def test_a_cluster_is_not_joined_because_a_folder_names_it(folder: Path, capsys, run) -> None:
    _rewrite(folder, "plan", "address", to="203.0.113.7:6379")
    assert "give --address 203.0.113.7:6379" in _refused(folder, capsys, run)


def test_it_is_joined_where_the_user_names_it(folder: Path, monkeypatch) -> None:
    _rewrite(folder, "plan", "address", to="203.0.113.7:6379")
    driven: list[str] = []
    monkeypatch.setattr(to_report, "drive", lambda study: driven.append(study.checked.plan.address))
    joined: list[str] = []
    monkeypatch.setattr(beginning, "try_to_join", joined.append)
    assert resume.main([str(folder), "--address", "10.0.0.1:6379"]) == 0
    assert driven == joined == ["10.0.0.1:6379"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trials", "many"), ("trials", 4.5), ("epochs", None), ("seed", [1]), ("cpus_per_trial", "1"),
        ("teacher", {"size": 8}), ("teacher", {"views": 0}), ("teacher", {"folds": 1}), ("student", 7),
        ("overrides", [1]), ("storage", {"a": 1}), ("verbose", "yes"), ("address", "\x1b[2J"),
    ],
)  # fmt: skip
def test_a_plan_of_other_types_is_refused_by_key(folder: Path, capsys, key: str, value: Any) -> None:
    _rewrite(folder, "plan", key, to=value)
    assert key in _refused(folder, capsys)


@pytest.mark.parametrize("name", [".lock", "run.log", "study.db", "checkpoints", "models"])
def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path, capsys, name: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(outside)
    assert name in _refused(folder, capsys)
    assert outside.read_text() == "precious"


@pytest.mark.parametrize("value", ['"text"', "[]", "{", '{"name": "x"}', "1e999"])
@pytest.mark.parametrize("key", ["space", "settings"])
def test_a_database_with_odd_settings_is_one_message(folder: Path, capsys, key: str, value: str) -> None:
    with closing(sqlite3.connect(folder / "study.db")) as database, database:
        database.execute("UPDATE study_user_attributes SET value_json = ? WHERE key = ?", (value, key))
    assert "study.db" in _refused(folder, capsys)


@pytest.mark.parametrize("name", ["hf-hub:stranger/net", "local-dir:/tmp/x", "os.system", "../x"])
def test_a_network_is_one_that_timm_knows_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match="student must be a model that timm"):
        build_student(name, 10, 1, 28)
    with pytest.raises(TeacherError):
        check_teacher(TeacherSpec(name=name))
