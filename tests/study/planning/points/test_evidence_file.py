"""The file of study.ingest keeps all that was asked, taken and left out, and is refused where a byte has changed."""

import json
from pathlib import Path

import pytest

from search_spaces.acckd import ACCKD_SMOKE
from study.planning.points.evidence_file import evidence_text, read_evidence
from study.planning.points.foreign_trials import ForeignStudy
from study.planning.points.ingestion import Ingested
from study.strategy.evidence import Evidence
from trainables.cckd.errors import UsageError

TAKEN = (
    Evidence(3, {"temperature": 2.0, "mix_ratio": 0.3, "estimator": "prior"}, None, 0.625),
    Evidence(4, {"temperature": 1.0 + 2**-40, "mix_ratio": 0.2, "estimator": "batch"}, None, 0.1),
)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    source = ForeignStudy("old.db", "ab" * 32, "tune", "maximize", ())
    found = Ingested(TAKEN, ((7, "temperature is missing"),), {"note, which is no knob of the space": 2})
    made = {"command": "...", "version": "1", "at": "now"}
    text = evidence_text(
        source, ACCKD_SMOKE, found, value_is="accuracy", fixed={"estimator": "prior"}, renamed={}, made=made
    )
    path = tmp_path / "old.evidence.json"
    path.write_text(text)
    return path


def test_evidence_is_read_as_it_was_written(written: Path) -> None:
    found = read_evidence(written)
    assert (found.evidence, found.space, found.name) == (TAKEN, ACCKD_SMOKE, "old.db, study 'tune'")
    assert found.content == written.read_bytes()
    assert found.source == {
        "file": "old.db", "sha256": "ab" * 32, "study": "tune", "direction": "maximize", "value_is": "accuracy",
        "set": {"estimator": "prior"}, "renamed": {},
    }  # fmt: skip
    plain = json.loads(written.read_text())
    assert plain["left_out"] == [{"number": 7, "reason": "temperature is missing"}]
    assert plain["ignored"] == {"note, which is no knob of the space": 2}


def test_every_changed_byte_of_a_value_is_noticed(written: Path) -> None:
    whole = written.read_text()
    for before, after in (
        ("0.625", "0.626"),
        ('"prior"', '"batch"'),
        ("old.db", "new.db"),
        ("{", ""),
        ("evidence", "x"),
    ):
        written.write_text(whole.replace(before, after, 1))
        with pytest.raises(UsageError, match=r"must be a study folder, or a file as study\.ingest wrote it"):
            read_evidence(written)


@pytest.mark.parametrize("content", ["", "[]", "{}", "temperature,value\n1,2\n"])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(UsageError, match=r"x\.csv: must be a study folder, or a file as study\.ingest wrote it"):
        read_evidence(tmp_path / "x.csv")
