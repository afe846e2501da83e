"""Whether a driver is alive is known without disturbing it, or the next one."""

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from study.lock import LOCK, is_held, study_lock
from study.overview.driver import Driver, driver_of, last_sign

ROOT = Path(__file__).resolve().parents[3]


def test_a_folder_that_nobody_held_names_no_driver(tmp_path: Path) -> None:
    assert driver_of(tmp_path) is None
    assert not is_held(tmp_path / LOCK)
    assert not (tmp_path / LOCK).exists()


def test_the_holder_is_alive_until_it_ends(tmp_path: Path) -> None:
    with study_lock(tmp_path / LOCK):
        driver = driver_of(tmp_path)
        assert driver is not None
        assert (driver.pid, driver.alive) == (os.getpid(), True)
    assert driver_of(tmp_path) == Driver(driver.host, driver.pid, driver.since, alive=False)


def test_a_killed_driver_is_known_to_be_gone(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from study.lock import study_lock\n"
        "lock = study_lock(Path(sys.argv[1])); lock.__enter__(); print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / LOCK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "held\n"
        found = driver_of(tmp_path)
        assert found is not None
        assert (found.pid, found.alive) == (driver.pid, True)
        driver.kill()
        driver.wait()
    found = driver_of(tmp_path)
    assert found is not None
    assert not found.alive


@pytest.mark.parametrize("content", ["", "5", "[]", '{"pid": 1}', '{"host": "h", "pid": "x", "since": ""}'])
def test_a_lock_that_names_nobody_gives_no_driver(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK).write_text(content)
    assert driver_of(tmp_path) is None


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("{}")
    (tmp_path / LOCK).symlink_to(tmp_path / "other")
    with study_lock(tmp_path / "other"):
        assert not is_held(tmp_path / LOCK)


def test_looking_again_and_again_refuses_no_driver(tmp_path: Path) -> None:
    path, done = tmp_path / LOCK, threading.Event()
    path.touch()

    def look() -> None:
        while not done.is_set():
            is_held(path)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(200):
            with study_lock(path):
                pass
    finally:
        done.set()
        looking.join()


def test_the_last_sign_is_the_newest_of_what_a_driver_writes(tmp_path: Path) -> None:
    assert last_sign(tmp_path) is None
    old = datetime.now(UTC) - timedelta(hours=3)
    for name in ("study.json", "study.db", "run.log", "trials.csv"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (old.timestamp(), old.timestamp()))
    (tmp_path / "trials.csv").touch()  # a reader may have made it anew
    assert last_sign(tmp_path) == pytest.approx(old, abs=timedelta(seconds=1))
    (tmp_path / "study.db-wal").touch()
    found = last_sign(tmp_path)
    assert found is not None
    assert datetime.now(UTC) - found < timedelta(minutes=1)
