"""An image file that is damaged while its study is under way: one line names it, and --skip-corrupt gets past it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study import resume
from study.entry.continuation import analyses
from study.phases import drive as phases
from study.phases.session import to_report
from study.phases.session.begin import begin
from study.phases.state.study_in_progress import Study
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.parser import build_parser
from tests.support.commands import SEARCH_ONLY, Command, n_complete, wait_until
from tests.support.damaged_images import damaged, encoded, flipped
from trainables.cckd.errors import DamagedImageError

VICTIM = "train/ant/3.png"


def make_set(root: Path, *, n_train: int = 10, n_test: int = 4) -> Path:
    """Two classes of PNG and JPEG files, with train, val and test."""
    for part, n in (("train", n_train), ("val", n_test), ("test", n_test)):
        for label, name in enumerate(("ant", "bee")):
            (root / part / name).mkdir(parents=True)
            for index in range(n):
                kind = "png" if index % 2 else "jpeg"
                content = encoded(kind, 30 + index, 40, seed=100 * label + index + len(part))
                (root / part / name / f"{index}.{'png' if index % 2 else 'jpg'}").write_bytes(content)
    return root


def damage(path: Path) -> None:
    """Flip a bit in the middle: neither the length nor the mark changes."""
    content = path.read_bytes()
    assert len(content) > 2000
    path.write_bytes(flipped(content, len(content) // 2))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return make_set(tmp_path / "images")


def _flags(images: Path, *more: str) -> list[str]:
    data = f"image_folder:path={images},size=32"
    return [
        "--space", "acckd_smoke", "--data", data, "--recipe", "quick", "--set", "batch_size=8", "--teacher-size", "32",
        "--teacher-views", "1", "--data-root", str(images.parent / "data"), "--out", str(images.parent),
        "--name", "mine", *SEARCH_ONLY, *more,
    ]  # fmt: skip


@pytest.fixture
def checked(images: Path) -> Checked:
    return check(build_parser().parse_args(_flags(images, "--trials", "4", "--epochs", "2")))


Play = Callable[[Callable[[Study], None]], None]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Replace the walk through the phases, and the report."""
    monkeypatch.setattr("analysis.report.build_report", lambda path: path / "report" / "index.html")
    return lambda act: monkeypatch.setattr(to_report, "drive", act)


@pytest.fixture
def begun(checked: Checked, play: Play) -> Path:
    """The folder of a study with one finished trial and the checkpoint of another."""

    def act(study: Study) -> None:
        number = study.ledger.ask(lambda params, replicate: 1).number
        study.ledger.start_attempt(number)
        study.ledger.fail(number, "non-finite loss: it")
        (study.store.path / "checkpoints" / "1" / "1").mkdir(parents=True)

    play(act)
    assert begin(checked, "...", analyses()) == 0
    return checked.folder


def _manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "study.json").read_text())


def _decoding(monkeypatch: pytest.MonkeyPatch, found: dict[str, DamagedImageError]) -> None:
    """Say what decoding every file finds, without Ray."""
    monkeypatch.setattr(phases, "damaged_images", lambda checked, progress: found)


def _leave_out(study: Study) -> None:
    phases._leave_out_damaged(study)


def test_a_resumed_study_names_the_damaged_file_and_the_flag(
    begun: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(images / VICTIM)
    before = (begun / "study.json").read_bytes()
    assert resume.main([str(begun)]) == 2
    said = capsys.readouterr().err
    assert "1 of 36 image files cannot be used; --skip-corrupt leaves them out" in said
    assert f"{images / VICTIM}: damaged: a checksum is wrong" in said
    assert (begun / "study.json").read_bytes() == before


@pytest.mark.parametrize("harm", [damage, Path.unlink, lambda path: path.write_bytes(b"")])
def test_with_the_flag_it_leaves_the_study_with_a_note_and_stays_out(
    begun: Path, images: Path, play: Play, monkeypatch, capsys, harm: Callable[[Path], object]
) -> None:
    sound = (images / VICTIM).read_bytes()
    harm(images / VICTIM)
    seen: list[tuple[Any, ...]] = []

    def act(study: Study) -> None:
        _leave_out(study)
        data = study.checked.data
        seen.append((len(data.train), VICTIM in data.train.paths, data.sha256, study.checked.cuts[0]))

    play(act)
    _decoding(monkeypatch, {})
    first = _manifest(begun)
    assert resume.main([str(begun), "--skip-corrupt"]) == 0
    note = f"1 image file left the data set after 1 trial had ended; its results stay. Damaged or gone: {VICTIM}"
    assert note in " ".join(capsys.readouterr().out.split())
    after = _manifest(begun)
    assert after["data"]["left_out"].keys() == {VICTIM}
    assert after["cautions"][-1] == {"reason": "files_left_out", "text": note}
    assert after["data"]["sha256"] != first["data"]["sha256"]
    assert after["data"]["n_train"] == first["data"]["n_train"]
    assert not (begun / "checkpoints" / "1").exists(), "its trial was trained with the file"
    (begun / "checkpoints" / "1").mkdir()
    (images / VICTIM).write_bytes(sound)  # back again: the study goes on as it is
    assert resume.main([str(begun)]) == 0
    assert seen == [(19, False, after["data"]["sha256"], after["data"]["sha256"])] * 2
    assert _manifest(begun)["cautions"] == after["cautions"]
    assert (begun / "checkpoints" / "1").exists()


def test_another_image_in_its_place_is_refused_even_with_the_flag(begun: Path, images: Path, capsys) -> None:
    damage(images / VICTIM)
    (images / "val/bee/1.png").write_bytes(encoded("png", 31, 40, seed=77))
    assert resume.main([str(begun), "--skip-corrupt"]) == 2
    assert "in the val set others have changed: val/bee/1.png" in capsys.readouterr().err


def test_what_only_decoding_finds_ends_the_study_in_one_line_or_leaves_it(
    begun: Path, images: Path, play: Play, monkeypatch, capsys
) -> None:
    play(_leave_out)
    _decoding(monkeypatch, {VICTIM: DamagedImageError(str(images / VICTIM), "ended the process that decodes it")})
    assert resume.main([str(begun)]) == 1
    (line, _) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {images / VICTIM} ended the process that decodes it; restore what is damaged")
    assert line.endswith(f"study.resume {begun} --skip-corrupt")
    assert resume.main([str(begun), "--skip-corrupt"]) == 0
    assert "1 image file left the data set after 1 trial had ended" in capsys.readouterr().out
    _decoding(monkeypatch, {})
    assert resume.main([str(begun)]) == 0, "the manifest knows the files that left"


def test_every_kind_of_damage_is_named_before_a_study_and_left_out_with_the_flag(images: Path, capsys) -> None:
    files = list(damaged())
    for name, content in files:
        (images / "train/ant" / name).write_bytes(content)
    argv = _flags(images, "--trials", "4")
    from study.run import main

    assert main([*argv, "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert f"{len(files)} of {36 + len(files)} image files cannot be used; --skip-corrupt leaves them out" in said
    assert main([*argv, "--dry-run", "--skip-corrupt"]) == 0
    assert f"skipped   {len(files)} image files" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("path", ["streamed", "resident"])
def test_a_whole_study_meets_damaged_files_before_and_in_its_middle(images: Path, path: str) -> None:
    """Fifty damaged files are there from the start; another is damaged after the first trial of a streamed study."""
    for name, content in damaged():
        (images / "train/ant" / name).write_bytes(content)
    more = ("--trials", "40", "--epochs", "6", "--max-concurrent", "1", "--data-path", path, "--skip-corrupt")
    command = Command("study.run", *_flags(images, *more))
    folder = images.parent / "mine"
    wait_until(command, lambda: n_complete(folder) >= 1)
    damage(images / VICTIM)
    if path == "streamed":
        ended = command.end(600)
        assert ended.code == 1
        assert "Traceback" not in ended.err + ended.out
        (line,) = [line for line in ended.err.splitlines() if line.startswith("error:")]
        assert line.startswith(f"error: {images / VICTIM} cannot be read as an image: damaged: a checksum is wrong; ")
        assert line.endswith("--skip-corrupt")
        states = [row.split(",")[1] for row in (folder / "trials.csv").read_text().splitlines()[1:]]
        assert "FAIL" not in states, "the trial that met the file is not at fault"
    else:
        command.interrupt()
        assert command.end(600).code == 130
    n_before = n_complete(folder)
    again = Command("study.resume", str(folder), "--skip-corrupt", "--trials", str(n_before + 2)).end(900)
    assert (again.code, [line for line in again.err.splitlines() if line.startswith("error")]) == (0, [])
    assert "1 image file left the data set after " in again.out
    manifest = _manifest(folder)
    assert manifest["counts"]["complete"] == n_before + 2
    assert manifest["counts"]["fail"] == 0
    assert list(manifest["data"]["left_out"]) == [VICTIM]
    report = (folder / "report" / "report.md").read_text()
    assert f"damaged or gone: {VICTIM}" in report.lower()
    assert os.path.getsize(folder / "files.safetensors") > 0
