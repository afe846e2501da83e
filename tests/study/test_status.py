"""`study.status`: one study, a folder of studies, programs that read it, and how fast it is."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from analysis import compare, export, report
from study import replay, resume, status
from study.lock import LOCK, study_lock
from tests.study.overview.test_study_state import MANIFEST
from trainables.cckd.files.sealed import sealed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name, started in (("b", "2026-01-01T00:00:00+00:00"), ("a", "2026-02-01T00:00:00+00:00")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.json").write_text(json.dumps(sealed(MANIFEST | {"started": started})))
    return tmp_path


def test_a_folder_of_studies_is_a_table_in_the_order_of_their_starts(runs: Path, capsys: Any) -> None:
    assert status.main([str(runs)]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["study", "b", "a"]


def test_one_study_is_told_in_full(runs: Path, capsys: Any) -> None:
    assert status.main([str(runs / "a")]) == 0
    assert "resume   python -m study.resume" in capsys.readouterr().out


def test_programs_get_one_line_of_json(runs: Path, capsys: Any) -> None:
    assert status.main([str(runs), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["schema"] == 1
    assert [study["state"] for study in found["studies"]] == ["stopped", "stopped"]


def _told(folder: Path, capsys: Any) -> dict[str, Any]:
    assert status.main([str(folder), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def _has_the_schema(told: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "docs" / "status.schema.json").read_text())
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(told)


def test_the_json_has_its_schema_in_every_state(runs: Path, capsys: Any) -> None:
    for state in ("interrupted", "failed", "done"):
        (runs / state).mkdir()
        (runs / state / "study.json").write_text(json.dumps(sealed(MANIFEST | {"status": state, "phase": None})))
    (runs / "damaged").mkdir()
    (runs / "damaged" / "study.json").write_text("{")
    with study_lock(runs / "a" / LOCK):
        told = _told(runs, capsys)
    states = {study["state"] for study in told["studies"]}
    assert states == {"running", "stopped", "interrupted", "failed", "done", "damaged"}
    _has_the_schema(told)


def test_the_json_of_a_real_study_has_its_schema(tmp_path: Path, capsys: Any) -> None:
    with tarfile.open(ROOT / "tests" / "whole" / "written_at_9da153e" / "finished.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    told = _told(tmp_path, capsys)
    assert told["studies"][0]["best"]["runs"] > 0
    _has_the_schema(told)


@pytest.mark.parametrize(
    "change", [{"state": "asleep"}, {"seconds_left": -1}, {"another": 0}, {"driver": {}}, {"unfinished": {"a": "b"}}]
)
def test_the_schema_refuses_other_json(runs: Path, capsys: Any, change: dict[str, Any]) -> None:
    told = _told(runs / "a", capsys)
    told["studies"][0] |= change
    with pytest.raises(jsonschema.ValidationError):
        _has_the_schema(told)


@pytest.mark.parametrize("key", ["folder", "phases", "resume"])
def test_the_schema_misses_a_key_that_is_gone(runs: Path, capsys: Any, key: str) -> None:
    told = _told(runs / "a", capsys)
    del told["studies"][0][key]
    with pytest.raises(jsonschema.ValidationError):
        _has_the_schema(told)


def test_watching_ends_with_the_last_driver(runs: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = study_lock(runs / "a" / LOCK)
    lock.__enter__()
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            lock.__exit__(None, None, None)

    monkeypatch.setattr(status.time, "sleep", wait)
    assert status.main([str(runs / "a"), "--watch"]) == 0
    assert len(waits) == 2
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("state")]
    assert [line.split()[1] for line in told] == ["running", "running", "stopped"]


def test_a_folder_without_studies_says_so_and_a_missing_one_is_refused(tmp_path: Path, capsys: Any) -> None:
    assert status.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "there is no study here\n"
    assert status.main([str(tmp_path / "gone")]) == 2
    assert "gone does not exist" in capsys.readouterr().err


def test_a_strangers_texts_reach_the_terminal_without_control_characters(runs: Path, capsys: Any) -> None:
    manifest = MANIFEST | {"data": MANIFEST["data"] | {"spec": "x\x1b[2J\u202ey"}}
    (runs / "a" / "study.json").write_text(json.dumps(sealed(manifest)))
    assert status.main([str(runs / "a")]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_it_loads_none_of_the_slow_packages() -> None:
    heavy = ("optuna", "torch", "ray", "pandas", "numpy", "sqlalchemy", "pydantic", "rich")
    code = f"import sys, study.status; print(*[name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_the_text_of_an_unset_variable_is_no_folder(runs: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)
    for command in (status.main, resume.main, report.main, export.main, compare.main, replay.main):
        with pytest.raises(SystemExit) as ended:
            command([""])
        assert ended.value.code == 2
        assert "argument DIR: must be a path; got ''" in capsys.readouterr().err
    for command in (export.main, compare.main):
        with pytest.raises(SystemExit):
            command(["a", "--out", ""])
        assert "argument --out: must be a path; got ''" in capsys.readouterr().err
