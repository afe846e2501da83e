"""Readers share a cache, a builder or remover has it alone, and no end of a process leaves it locked."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import pytest

from trainables.cckd.teacher.cache.cache_lock import CacheLock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "caches" / "abc"


def _never() -> None:
    pytest.fail("there was nothing to wait for")


def test_readers_share_and_keep_the_remover_out(folder: Path) -> None:
    one, other, remover = CacheLock(folder), CacheLock(folder), CacheLock(folder)
    one.share(_never)
    other.share(_never)
    assert not remover.try_take()
    one.release()
    assert not remover.try_take()
    other.release()
    assert remover.try_take()


def test_a_reader_waits_for_the_builder_and_says_so(folder: Path) -> None:
    builder, reader, waits, done = CacheLock(folder), CacheLock(folder), Event(), Event()
    assert builder.try_take()

    def read() -> None:
        reader.share(waits.set)
        done.set()

    thread = Thread(target=read, daemon=True)
    thread.start()
    assert waits.wait(5)
    assert not done.wait(0.05)
    builder.release()
    assert done.wait(5)
    assert not CacheLock(folder).try_take()


def test_a_second_builder_stops_waiting_when_the_first_has_built_and_reads(folder: Path) -> None:
    first, second, waits, built = CacheLock(folder), CacheLock(folder), Event(), Event()
    first.share(_never)
    taken: list[bool] = []
    thread = Thread(target=lambda: taken.append(second.take(waits.set, unless=built.is_set)), daemon=True)
    thread.start()
    assert waits.wait(5)
    built.set()
    thread.join(5)
    assert taken == [False], "the first goes on reading for as long as its study lasts"
    first.release()
    assert second.take(_never, unless=lambda: False)


def test_who_waited_while_the_cache_was_removed_holds_the_new_lock(folder: Path) -> None:
    remover, reader, waits, done = CacheLock(folder), CacheLock(folder), Event(), Event()
    assert remover.try_take()

    def read() -> None:
        reader.share(waits.set)
        done.set()

    Thread(target=read, daemon=True).start()
    assert waits.wait(5)
    remover.remove_file()
    remover.release()
    assert done.wait(5)
    assert not CacheLock(folder).try_take(), "the lock file that lies there now is the one that is held"


def test_a_block_or_a_forgotten_claim_lets_go(folder: Path) -> None:
    with CacheLock(folder) as claim:
        assert claim.try_take()
        assert not CacheLock(folder).try_take()
    forgotten = CacheLock(folder)
    forgotten.share(_never)
    del forgotten
    assert CacheLock(folder).try_take()


def test_a_killed_holder_leaves_no_lock(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    held = context.Event()

    def hold() -> None:
        claim = CacheLock(folder)
        claim.try_take()
        held.set()
        signal.pause()

    holder = context.Process(target=hold)
    holder.start()
    assert held.wait(5)
    assert not CacheLock(folder).try_take()
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert CacheLock(folder).try_take()


@contextmanager
def _another_user() -> Iterator[None]:
    """Lose root's right to write everything; a user who is not root has no such right."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_reader_needs_no_right_to_write() -> None:
    with TemporaryDirectory() as name:
        root, folder = Path(name), Path(name) / "abc"
        CacheLock(folder).share(_never)
        (root / "abc.lock").chmod(0o444)
        root.chmod(0o555)
        try:
            with _another_user(), CacheLock(folder) as claim:
                claim.share(_never)
        finally:
            root.chmod(0o755)


@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("first", [CacheLock.try_take, lambda lock: lock.share(_never)])
def test_other_users_may_take_the_lock_alone(folder: Path, umask: int, first) -> None:
    before = os.umask(umask)
    try:
        first(CacheLock(folder))
    finally:
        os.umask(before)
    assert folder.with_name("abc.lock").stat().st_mode & 0o777 == 0o666
