"""Study folders that commit 9da153e wrote still report, resume and extend; its exported model still loads.

Made at 9da153e with `python -m study.run --data digits_lt --teacher-size 32 --teacher-views 2 --trials 5 --seed 3
--precision float32 --max-concurrent 1 --finalists 2 --finalist-seeds 2 --confirm-seeds 2 --data-root /tmp/study/data`
and `--space acckd_smoke --epochs 4` (finished), or `--space acckd_no_fi --epochs 12` (interrupted: the driver was
stopped while trial 2 ran, and killed once the trial had written a checkpoint). The packed folders lack report/, ray/,
the lock and the copy of study.json; SQLite's log is written into study.db.
"""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import Command, Ended
from tests.whole.whole import Study, csv_rows, table_rows
from trainables.cckd.data import load_data, parse_data
from trainables.cckd.files.sealed import sealed

pytestmark = pytest.mark.slow

FOLDERS = Path(__file__).with_name("written_at_9da153e")


def test_the_finished_study_reports(tmp_path: Path) -> None:
    path = _unpacked("finished", tmp_path)
    ended = Command("analysis.report", str(path)).end()
    assert (ended.code, ended.err) == (0, "")
    page = (path / "report" / "report.md").read_text()
    assert "acckd_smoke" in page
    assert "trial 2" in page, "the study chose it as best1"


def test_the_finished_study_is_extended(tmp_path: Path) -> None:
    path = _unpacked("finished", tmp_path)
    before = {name: csv_rows(path, name) for name in ("trials.csv", "confirm.csv")}
    study = _resumed(path, "--trials", "6")
    assert study.csv("trials.csv")[:5] == before["trials.csv"]
    assert len(study.states()) == 6
    rungs = [row for row in before["confirm.csv"] if row["entry"] != "best1"]
    assert [row for row in study.csv("confirm.csv") if row["entry"] != "best1"] == rungs


def test_the_interrupted_study_is_resumed_from_its_checkpoint(tmp_path: Path) -> None:
    path = _unpacked("interrupted", tmp_path)
    checkpoint = json.loads((path / "checkpoints" / "2" / "1" / "checkpoint.json").read_text())
    assert Study(path, Ended(0, "", "")).states() == ["COMPLETE", "COMPLETE", "RUNNING"]
    before = table_rows(path, "epoch_records")
    assert {row[0] for row in before} == {0, 1}, "study.db knows none of the epochs in the checkpoint"
    study = _resumed(path)
    assert len(study.states()) == 5
    assert [row["attempts"] for row in study.csv("trials.csv")] == ["1", "1", "2", "1", "1"]
    after = table_rows(path, "epoch_records")
    assert [row for row in after if row[0] < 2] == before
    continued = [json.loads(record) for number, epoch, record in after if number == 2 and epoch <= checkpoint["epoch"]]
    assert continued == checkpoint["records"], "down to the seconds, which training again would change"
    assert {row["entry"] for row in study.csv("confirm.csv")} >= {"best1", "ce", "acckd"}


def test_the_exported_model_loads_by_its_own_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    models = _unpacked("finished", tmp_path) / "models"
    written = json.loads((models / "best1.json").read_text())
    monkeypatch.chdir(models)
    names: dict[str, torch.nn.Module] = {}
    exec("\n".join(written["load"]), names)
    test = load_data(parse_data("digits_lt"), data_root=tmp_path, download=False).test
    mean, std = (np.array(written[key])[:, None, None] for key in ("pixel_mean", "pixel_std"))
    with torch.no_grad():
        logits = names["net"](torch.from_numpy(((test.images / 255 - mean) / std).astype(np.float32)))
    correct = np.bincount(test.labels[logits.argmax(1).numpy() == test.labels], minlength=10)
    # Another processor may round an image on a boundary to its other side.
    assert np.abs(correct - written["test"]["correct"]).sum() <= 2


def _unpacked(name: str, folder: Path) -> Path:
    """The study folder `name`, with its data root moved under `folder`."""
    with tarfile.open(FOLDERS / f"{name}.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    manifest = json.loads((folder / name / "study.json").read_text())
    manifest["plan"]["data_root"] = str(folder / "data")
    (folder / name / "study.json").write_text(json.dumps(sealed(manifest)))
    return folder / name


def _resumed(path: Path, *argv: str) -> Study:
    study = Study(path, Command("study.resume", str(path), *argv).end())
    assert (study.ended.code, study.ended.err) == (0, "")
    assert study.manifest["status"] == "done"
    assert "RUNNING" not in study.states()
    return study
