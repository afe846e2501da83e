"""A small checked study, the folder that it will have, and a way through its phases that a test gives."""

from pathlib import Path

import pytest

from study.phases.session import begin, to_report
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.parser import build_parser
from tests.study.phases.session.played_session import Play


@pytest.fixture
def small(tmp_path: Path) -> Checked:
    what = ["--space", "acckd_smoke", "--data", "digits_lt", "--out", str(tmp_path), "--name", "mine"]
    return check(build_parser().parse_args([*what, "--trials", "4", "--confirm-seeds", "0"]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mine"


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Play:
    """Replace the walk through the phases, the report, and the question to a cluster."""
    monkeypatch.setattr("analysis.report.build_report", lambda path: path / "report" / "index.html")
    monkeypatch.setattr(begin, "try_to_join", lambda address: None)
    return lambda act: monkeypatch.setattr(to_report, "drive", act)
