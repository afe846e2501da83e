"""The registry of exports is complete, and the command line derives from it."""

import re
from pathlib import Path

import pytest

import analysis.exports
from analysis import export
from analysis.exports.registry import EXPORTS

#: Modules of the package that are no export.
SHARED = {"__init__", "registry", "summary"}


def test_every_export_module_is_registered_once() -> None:
    modules = {path.stem for path in Path(analysis.exports.__file__).parent.glob("*.py")} - SHARED
    registered = [item.function.__module__.rpartition(".")[2] for item in EXPORTS.values()]
    assert sorted(registered) == sorted(modules)


def test_the_help_names_every_export_with_its_description(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        export.main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for name, item in EXPORTS.items():
        assert name in shown
        assert item.description.split(";")[0].replace("-", "- ").split()[0] in shown


def test_the_page_on_study_folders_lists_every_export() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "study-folder.md"
    table = page.read_text(encoding="utf-8").partition("| `--to` |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(EXPORTS)
