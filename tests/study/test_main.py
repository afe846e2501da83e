"""The console script starts the same commands as `python -m`, and says what is in its way."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import study
from study import main as module
from study.main import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
#: What an installed `cckd-study` does: its own folder, and not the current one, is first on the path.
SCRIPT = "import sys; sys.argv[0] = '/bin/cckd-study'; from study.main import main; sys.exit(main())"


def _script(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", SCRIPT, *argv]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_started_with_its_arguments(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = module.import_module(COMMANDS[command][0])
    monkeypatch.setattr(target, "main", lambda argv: (7, argv))
    assert main([command, "--flag", "value"]) == (7, ["--flag", "value"])


def test_help_lists_every_command_and_a_wrong_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(printed.count(f"\n  {command} ") == 2 for command in COMMANDS)
    assert main(["rnu"]) == 2
    assert capsys.readouterr().err == f"error: the command must be one of {', '.join(COMMANDS)}; got 'rnu'\n"


def test_the_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    monkeypatch.setattr("importlib.metadata.version", lambda name: named)
    assert study.__version__ == named
    assert main(["--version"]) == 0
    with pytest.raises(SystemExit):
        main(["run", "--version"])
    assert capsys.readouterr().out == f"cckd-study {named}\n" * 2


def test_help_names_the_command_as_it_was_started(tmp_path: Path) -> None:
    assert _script(tmp_path, "resume", "--help").stdout.startswith("usage: cckd-study resume ")
    assert "  cckd-study run --space acckd_full\n" in _script(tmp_path, "run", "--help").stdout
    assert _script(tmp_path, "export", "--help").stdout.startswith("usage: cckd-study export ")


@pytest.mark.parametrize("name", ["study.py", "trainables/__init__.py", "search_spaces.py"])
def test_a_file_that_the_workers_would_import_instead_of_ours_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("raise SystemExit('imported')\n")
    for argv in (["run", "--data", "digits_lt"], ["resume", "gone"], ["replay", "gone", "0"]):
        done = _script(tmp_path, *argv)
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: {tmp_path / name} would be imported instead of this program's package")
        assert line.endswith("; start from another folder, or rename it")
        assert done.returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [Path(name).parts[0]]


def test_files_that_are_not_in_the_way_are_let_be(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text("raise SystemExit('imported')\n")
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("raise SystemExit('imported')\n")
    listed = _script(tmp_path, "run", "--list-spaces")
    assert (listed.returncode, listed.stderr) == (0, "")
    (tmp_path / "study.py").unlink()
    (tmp_path / "trainables").mkdir()  # a folder without __init__.py hides no package
    refused = _script(tmp_path, "resume", "gone")
    assert "study folder has a study.json" in refused.stderr


def test_python_m_refuses_a_package_that_the_driver_would_import_instead(tmp_path: Path) -> None:
    (tmp_path / "analysis.py").write_text("raise SystemExit('imported')\n")
    command = [sys.executable, "-m", "study.run", "--dry-run", "--data", "digits_lt"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert f"{tmp_path / 'analysis.py'} would be imported instead" in done.stderr
    assert done.returncode == 2


def test_the_import_of_the_package_loads_nothing() -> None:
    code = "import sys, study; print(*sorted(name for name in sys.modules if name.startswith(('study.', 'pydantic'))))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_every_package_is_typed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package in ("study", "trainables", "search_spaces", "analysis"):
        assert "py.typed" in settings[package]
        assert (ROOT / package / "py.typed").is_file()
