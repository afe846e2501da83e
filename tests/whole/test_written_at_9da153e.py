"""Study folders of layout 1 that commit 9da153e wrote still report; training them further is refused.

The exported model still loads.

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

from tests.support.commands import Command
from trainables.cckd.data.load import load_data
from trainables.cckd.data.spec import parse_data
from trainables.cckd.files.sealed import sealed

pytestmark = pytest.mark.slow

FOLDERS = Path(__file__).with_name("written_at_9da153e")


@pytest.mark.parametrize(("name", "space"), [("finished", "acckd_smoke"), ("interrupted", "acckd_no_fi")])
def test_a_study_reports(tmp_path: Path, name: str, space: str) -> None:
    path = _unpacked(name, tmp_path)
    ended = Command("analysis.report", str(path)).end()
    assert (ended.code, ended.err) == (0, "")
    page = (path / "report" / "report.md").read_text()
    assert space in page
    assert name == "interrupted" or "trial 2" in page, "the study chose it as best1"


@pytest.mark.parametrize(
    ("name", "command", "argv"),
    [
        ("finished", "study.resume", ["--trials", "6"]),
        ("finished", "study.confirm", ["--seeds", "3"]),
        ("finished", "study.ablate", ["--seeds", "2"]),
        ("finished", "study.replay", ["0"]),
        ("interrupted", "study.resume", []),
    ],
)
def test_training_it_further_is_refused_and_touches_nothing(
    tmp_path: Path, name: str, command: str, argv: list[str]
) -> None:
    path = _unpacked(name, tmp_path)
    before = _contents(path)
    ended = Command(command, str(path), *argv).end()
    assert ended.code == 2
    assert ended.err == (
        f"error: {path / 'study.json'} is of layout 1, whose knobs mean something else here; "
        "version 0.2.0 can continue it, this version only reports it\n"
    )
    assert _contents(path) == before


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


def _contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}
