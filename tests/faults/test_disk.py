"""A disk that is full, or becomes read-only, is named in plain words; what was filed stays, and the study goes on."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from analysis import report
from study import resume
from study.entry.continuation import analyses
from study.phases.session import to_report
from study.phases.session.begin import begin
from study.phases.state.study_in_progress import Study
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.parser import build_parser
from study.records.ledger import Ledger
from study.run import main as run_main
from trainables.cckd.errors import UsageError

N_TRIALS = 4
#: Free bytes when the study begins: from nothing at all to too little for all of it.
FREE = (0, 40, 120, 200, 320, 400)
#: In the words of the system and of SQLite, which says the last where it cannot grow what lies beside study.db.
TOLD = ("No space left on device", "database or disk is full", "disk I/O error")
real_report = report.build_report


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte, which takes the right to mount one."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("may not mount a small disk")
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture
def checked(disk: Path) -> Checked:
    what = ["--space", "acckd_smoke", "--data", "digits_lt", "--out", str(disk), "--name", "mine"]
    return check(
        build_parser().parse_args(
            [*what, "--trials", str(N_TRIALS), "--confirm-seeds", "0", "--ablation-seeds", "0", "--epochs", "2"]
        )
    )


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phases that file what is missing, and a report that is no more than its page."""

    def drive(study: Study) -> None:
        ledger = study.ledger
        left = [trial.number for trial in ledger.unfinished()]
        while ledger.finished_total < N_TRIALS:
            number = left.pop() if left else ledger.ask(lambda params, replicate: 7).number
            ledger.record(number, [_epoch(k) for k in (1, 2)])
            ledger.complete(number)
            study.export()
            study.store.update_manifest(status="running")

    monkeypatch.setattr(to_report, "drive", drive)
    monkeypatch.setattr("analysis.report.build_report", lambda path: path / "report" / "index.html")


def _epoch(epoch: int) -> dict[str, Any]:
    losses = dict.fromkeys((f"term{k}" for k in range(200)), 1.0) | {"total": 1.0}
    val = {"correct": [5] * 10, "seen": [10] * 10}
    return {"epoch": epoch, "losses": losses, "lr": 0.1, "val": val, "train_s": 1.0, "eval_s": 0.1}


def _fill(disk: Path, free_kib: int) -> Path:
    """Leave so much room and no more."""
    filler = disk / "filler"
    filler.write_bytes(b"x" * 1024 * (1024 - free_kib))
    return filler


def _fill_up(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


def _finished(folder: Path) -> dict[int, Any]:
    if not (folder / "study.db").exists():
        return {}
    ledger = Ledger.open(folder / "study.db")
    rows = {row.number: row for row in ledger.rows() if row.state == "COMPLETE"}
    ledger.close()
    return rows


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize("free_kib", FREE)
def test_a_full_disk_ends_the_study_in_plain_words_and_room_continues_it(
    disk: Path, checked: Checked, capsys: pytest.CaptureFixture[str], free_kib: int
) -> None:
    folder, filler = disk / "mine", _fill(disk, free_kib)
    code = _code(lambda: begin(checked, "...", analyses()))
    said = capsys.readouterr()
    assert code in (1, 2)
    assert "error: " in said.err
    assert any(told in said.err for told in TOLD)
    assert "Traceback" not in said.out + said.err
    filler.unlink()
    before = _finished(folder)
    if folder.exists():
        assert resume.main([str(folder)]) == 0
    else:
        assert begin(checked, "...", analyses()) == 0
    after = _finished(folder)
    assert sorted(after) == list(range(N_TRIALS))
    assert {number: after[number] for number in before} == before


@pytest.mark.usefixtures("played")
def test_a_full_disk_refuses_to_resume_in_plain_words(disk: Path, checked: Checked, capsys) -> None:
    assert begin(checked, "...", analyses()) == 0
    before, filler = _finished(disk / "mine"), _fill_up(disk)
    capsys.readouterr()
    assert resume.main([str(disk / "mine"), "--trials", "9"]) in (1, 2)
    said = capsys.readouterr().err
    assert any(told in said for told in TOLD)
    assert "Traceback" not in said
    filler.unlink()
    assert resume.main([str(disk / "mine")]) == 0
    assert _finished(disk / "mine") == before


@pytest.mark.usefixtures("played")
def test_a_read_only_disk_is_refused_in_one_line_and_left_as_it_is(
    disk: Path, checked: Checked, capsys, monkeypatch
) -> None:
    assert begin(checked, "...", analyses()) == 0
    monkeypatch.setattr("analysis.report.build_report", real_report)
    before = _finished(disk / "mine")
    capsys.readouterr()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    commands: list[Callable[[], int]] = [
        lambda: resume.main([str(disk / "mine")]),
        lambda: run_main(["--data", "digits_lt", "--out", str(disk), "--name", "other"]),
        lambda: report.main([str(disk / "mine")]),
    ]
    for command in commands:
        assert command() == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert str(disk) in line
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    monkeypatch.setattr("analysis.report.build_report", lambda path: path)
    assert resume.main([str(disk / "mine")]) == 0
    assert _finished(disk / "mine") == before


def _code(command: Callable[[], int]) -> int:
    """The exit code that `study.run` would give."""
    try:
        return command()
    except UsageError as error:
        print("\n".join(f"error: {fault}" for fault in error.faults), file=sys.stderr)
        return 2
