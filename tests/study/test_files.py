"""Atomic writes leave the old file or the new; the lock keeps a second driver out and names the first."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from study.lock import LockedError, StudyLock
from trainables.cckd.atomic import replacing, write_json, write_text


def test_a_write_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")
    write_json(path, {"name": "Tête-à-tête"})
    assert json.loads(path.read_text()) == {"name": "Tête-à-tête"}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def interrupted() -> None:
        with replacing(path) as beside:
            beside.write_text("new, but only ha")
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_json_has_no_nan_and_is_refused_before_the_file_is_touched(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", "old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert (tmp_path / "a.json").read_text() == "old"


def test_a_second_driver_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with StudyLock(path), pytest.raises(LockedError, match=rf"held by process {os.getpid()} on "), StudyLock(path):
        pass
    with StudyLock(path):
        pass  # free again


def test_the_lock_of_a_killed_driver_is_free_at_once(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    code = (
        "import sys, time; from pathlib import Path; from study.lock import StudyLock\n"
        "lock = StudyLock(Path(sys.argv[1])); lock.__enter__(); print('held', flush=True); time.sleep(60)"
    )
    driver = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    with driver.stdout:
        assert driver.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"process {driver.pid}"), StudyLock(path):
            pass
        driver.kill()
        driver.wait()
    with StudyLock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_lock_file_that_names_nobody_still_gives_a_clear_message(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with StudyLock(path):
        path.write_text("")
        with pytest.raises(LockedError, match="a process that has just started"), StudyLock(path):
            pass
