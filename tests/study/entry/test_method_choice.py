"""A command enters its own method before the tables are built; a process that has built others is refused."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from study.entry.method_choice import asked_in, enter_asked, enter_recorded, folder_in
from trainables.cckd.errors import UsageError
from trainables.cckd.files.sealed import sealed
from trainables.own_method import VARIABLE, OwnSource

TABLES = "trainables.cckd.methods"


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an own method in the current folder, in a process that has built no tables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "of another")
    monkeypatch.delitem(sys.modules, TABLES, raising=False)
    path = tmp_path / "my_loss.py"
    path.write_text("METHOD = None")
    return path


def study(folder: Path, own: Any) -> Path:
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps(sealed({"own_method": own})))
    return folder


@pytest.mark.parametrize(
    ("argv", "method"),
    [
        ((), None),
        (("--space", "la"), None),
        (("--method", "a:B"), "a:B"),
        (("--space", "la", "--method=a:B", "--trials", "3"), "a:B"),
        (("--method",), ""),
        (("--methods", "a:B"), None),
    ],
)
def test_the_flag_is_read_in_both_forms(argv: tuple[str, ...], method: str | None) -> None:
    assert asked_in(argv) == method


@pytest.mark.parametrize(
    ("content", "method"),
    [("method: a:B\ntrials: 3", "a:B"), ("trials: 3", None), ("method: 5", None), ("[1]", None), ("a: [", None)],
)
def test_a_studys_file_names_its_method_unless_the_flag_does(tmp_path: Path, content: str, method: str | None) -> None:
    (tmp_path / "study.yaml").write_text(content)
    argv = ("--config", str(tmp_path / "study.yaml"))
    assert asked_in(argv) == method
    assert asked_in((*argv, "--method=c:D")) == "c:D"
    assert asked_in(("--config", str(tmp_path / "nowhere.yaml"))) is None


def test_a_method_that_was_asked_for_is_entered(fresh: Path) -> None:
    enter_asked("my_loss:METHOD")
    assert OwnSource.entered() == OwnSource.find("my_loss:METHOD")
    enter_asked(None)
    assert VARIABLE not in os.environ, "the command line decides, not a variable that was left over"


def test_a_process_keeps_the_method_of_its_tables(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, TABLES, SimpleNamespace(OWN_SOURCE=None))
    enter_asked(None)
    with pytest.raises(
        UsageError, match="own method my_loss:METHOD: this process has built its tables for none; start"
    ):
        enter_asked("my_loss:METHOD")
    source = OwnSource.find("my_loss:METHOD")
    monkeypatch.setitem(sys.modules, TABLES, SimpleNamespace(OWN_SOURCE=source))
    enter_asked("my_loss:METHOD")
    with pytest.raises(UsageError, match="own method none: this process has built its tables for my_loss:METHOD"):
        enter_asked(None)


def test_a_study_enters_the_method_that_it_recorded_with_the_hash_of_then(fresh: Path, tmp_path: Path) -> None:
    folder = study(tmp_path / "own", {"method": "my_loss:METHOD", "sha256": "of then"})
    enter_recorded(folder)
    entered = OwnSource.entered()
    assert entered == OwnSource("my_loss:METHOD", "of then", str(tmp_path)), "load() compares the hash"
    for without in (study(tmp_path / "none", None), tmp_path, None):
        enter_recorded(without)
        assert OwnSource.entered() is None


def test_the_copy_of_a_damaged_manifest_is_read(fresh: Path, tmp_path: Path) -> None:
    folder = study(tmp_path / "own", {"method": "my_loss:METHOD", "sha256": "of then"})
    (folder / "study.json").rename(folder / ".study.json.before")
    (folder / "study.json").write_text('{"own_met')
    enter_recorded(folder)
    assert OwnSource.entered() is not None


@pytest.mark.parametrize("own", ["my_loss:METHOD", {"method": "my_loss:METHOD"}, ["a"], 3, {"sha256": "a"}])
def test_a_manifest_of_another_form_is_refused(own: Any, fresh: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"study\.json must name its own method as the study wrote it"):
        enter_recorded(study(tmp_path / "own", own))


@pytest.mark.parametrize("method", ["../my_loss:METHOD", "runs/own/my_loss:METHOD", "os.path:join", 3])
def test_no_folder_names_a_path(method: Any, fresh: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must read module:ATTRIBUTE"):
        enter_recorded(study(tmp_path / "own", {"method": method, "sha256": "a"}))


def test_a_module_in_the_study_folder_is_not_found(fresh: Path, tmp_path: Path) -> None:
    folder = study(tmp_path / "own", {"method": "their_loss:METHOD", "sha256": "a"})
    (folder / "their_loss.py").write_text("raise SystemExit")
    with pytest.raises(UsageError, match=r"a file their_loss\.py must be in the current folder or on PYTHONPATH"):
        enter_recorded(folder)


def test_the_folder_is_found_among_the_arguments(tmp_path: Path) -> None:
    folder = study(tmp_path / "own", None)
    assert folder_in(["--trials", "9", str(folder)]) == folder
    assert folder_in([str(folder), "--device", "cpu"]) == folder
    assert folder_in(["--trials", "9", str(tmp_path)]) is None
