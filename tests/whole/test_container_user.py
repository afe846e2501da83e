"""A study of a container's user: a uid without a passwd entry, and no home folder that can be written."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import SEARCH_ONLY
from tests.support.other_user import UID, run_as_other
from tests.whole.whole import SMOKE

pytestmark = pytest.mark.slow


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that is the user's own; pytest's are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, UID, UID)
        yield Path(name)


def test_a_study_runs_to_its_report_without_a_home(place: Path) -> None:
    flags = (*SMOKE, "--epochs", "2", *SEARCH_ONLY, "--trials", "1", "--out", "runs", "--name", "a")
    ended = run_as_other(["-m", "study.run", *flags], {"TMPDIR": str(place)}, place)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "1 complete" in ended.stdout
    notes = [line for line in ended.stdout.splitlines() if line.startswith("NOTE")]
    assert [note.startswith("NOTE     the students are not trained out: ") for note in notes] == [True]
    assert (place / "runs" / "a" / "report" / "index.html").is_file()
    assert not list(place.glob("cckd-home-*"))
