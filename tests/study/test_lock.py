"""The lock of a study refuses a second driver and names the first."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from study import resume
from study.lock import LockedError, study_lock
from trainables.cckd.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


def test_a_second_driver_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with study_lock(path), pytest.raises(LockedError, match=rf"held by process {os.getpid()} on "), study_lock(path):
        pass
    with study_lock(path):
        pass  # free again


def test_the_lock_of_a_killed_driver_is_free_at_once(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    code = (
        "import sys, time; from pathlib import Path; from study.lock import study_lock\n"
        "lock = study_lock(Path(sys.argv[1])); lock.__enter__(); print('held', flush=True); time.sleep(60)"
    )
    driver = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    with driver.stdout:
        assert driver.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"process {driver.pid}"), study_lock(path):
            pass
        driver.kill()
        driver.wait()
    with study_lock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("study.lock.fcntl.flock", refuse)
    with (
        pytest.raises(UsageError, match=f"a file system with locks.*gives {os.strerror(number)}"),
        study_lock(tmp_path / ".lock"),
    ):
        pass


def test_a_lock_file_that_names_nobody_still_gives_a_clear_message(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with study_lock(path):
        path.write_text("")
        with pytest.raises(LockedError, match="a process that has just started"), study_lock(path):
            pass


@pytest.mark.parametrize("content", [b"", b"5", b"[]", b"{}", b"\xff\xfe", b'{"pid": 1'])
def test_whatever_the_lock_file_says_the_lock_itself_decides(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ".lock"
    with study_lock(path):
        path.write_bytes(content)
        with pytest.raises(LockedError, match="a process that has just started"), study_lock(path):
            pass
    path.write_bytes(content)
    with study_lock(path):
        pass


@pytest.mark.parametrize("command", [("study.resume",), ("study.confirm",), ("study.ablate",), ("study.replay", "0")])
def test_a_second_driver_is_refused_before_anything_slow_is_imported(tmp_path: Path, command: tuple[str, ...]) -> None:
    module, *more = command
    code = (
        f"import sys; from {module} import main; code = main({[str(tmp_path), *more]!r})\n"
        "print(code, *({'ray', 'torch', 'optuna', 'numpy', 'pandas'} & sys.modules.keys()))"
    )
    with study_lock(tmp_path / ".lock"):
        ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "2\n"
    assert f"is held by process {os.getpid()} on " in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", [("study.resume",), ("study.confirm",), ("study.replay", "0")])
def test_a_second_driver_is_refused_within_two_seconds(tmp_path: Path, command: tuple[str, ...]) -> None:
    module, *more = command
    taken = []
    with study_lock(tmp_path / ".lock"):
        for _ in range(3):  # the machine may have other things to do
            start = time.monotonic()
            ended = subprocess.run(
                [sys.executable, "-m", module, str(tmp_path), *more], cwd=ROOT, capture_output=True, check=False
            )
            taken.append(time.monotonic() - start)
            assert ended.returncode == 2
    assert min(taken) < 2.0


def test_a_folder_that_cannot_be_written_is_refused_in_plain_words(tmp_path: Path, monkeypatch, capsys) -> None:
    def read_only(path: Path, flags: int, *mode: int) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    (tmp_path / "study.json").write_text('{"schema": 2}')
    (tmp_path / ".lock").touch()
    monkeypatch.setattr(os, "open", read_only)
    assert resume.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"error: a study folder must be one that can be written; [Errno 30] Read-only file system: "
        f"'{tmp_path / '.lock'}'\n"
    )
