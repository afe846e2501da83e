"""Processes that decode: they outlive a stream, and the death of one names the file that it was at."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from multiprocessing import active_children, get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.cckd.data.images import decoder_process
from trainables.cckd.data.images import decoders as module
from trainables.cckd.data.images.crops import centre_views
from trainables.cckd.data.images.decode import read_views
from trainables.cckd.data.images.decoders import CHUNK, CHUNK_PIXELS, Decoders, chunk_size, decoders
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.view_stream import ViewStream, damaged_files, hold
from trainables.cckd.errors import DamagedImageError, DataError


@pytest.fixture(autouse=True)
def _own_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Processes of the test's own, which know its patches."""
    monkeypatch.setattr(module, "CHUNK", 4)
    decoders().close()
    yield
    decoders().close()


def _pids() -> set[int]:
    return {process.pid for process in active_children() if process.name == "decoder" and process.pid}


def _streamed(files: ImageFiles, workers: int = 2, size: int = 8) -> np.ndarray:
    views = centre_views(files.sizes)
    members = np.arange(len(files)).reshape(-1, 7)
    batches = ViewStream(files, size, workers).batches(members, views[members])
    return np.concatenate([batch.numpy() for batch in batches])


def _expected(files: ImageFiles, size: int = 8) -> np.ndarray:
    return read_views(files, np.arange(len(files)), centre_views(files.sizes), size)


def _dying_at(monkeypatch: pytest.MonkeyPatch, number: int, path: str, deaths: Path) -> None:
    """Let every process that reads `path` end by a signal; `deaths` counts."""

    def read(source, indices, views, size, *, out=None):  # type: ignore[no-untyped-def]
        if isinstance(source, ImageFiles) and source.paths[indices[0]] == path:
            with deaths.open("a") as file:
                file.write("x")
            os.kill(os.getpid(), number)
        return read_views(source, indices, views, size, out=out)

    monkeypatch.setattr(decoder_process, "read_views", read)


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="only Linux has this policy")
def test_a_process_that_decodes_interrupts_nobody(image_files: ImageFiles) -> None:
    _streamed(image_files)
    assert {os.sched_getscheduler(pid) for pid in _pids()} == {os.SCHED_BATCH}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_second_stream_starts_no_process(image_files: ImageFiles) -> None:
    np.testing.assert_array_equal(_streamed(image_files), _expected(image_files))
    before = _pids()
    assert len(before) == 2
    np.testing.assert_array_equal(_streamed(image_files, size=11), _expected(image_files, size=11))
    assert _pids() == before


def test_streams_in_turns_do_not_block_each_other(image_files: ImageFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOTS", 1)
    views, members = centre_views(image_files.sizes), np.arange(42).reshape(-1, 14)
    streams = [ViewStream(image_files, size, 1).batches(members, views[members]) for size in (5, 6, 7)]
    found = list(zip_longest(*streams))
    assert len(found) == 3
    for size, batches in zip((5, 6, 7), zip(*found, strict=True), strict=True):
        np.testing.assert_array_equal(np.concatenate([b.numpy() for b in batches]), _expected(image_files, size))


def test_larger_views_and_images_in_memory_get_processes_of_their_own(image_files: ImageFiles) -> None:
    held = hold(image_files, workers=1)
    np.testing.assert_array_equal(_streamed(image_files), _expected(image_files))
    files_only = _pids()
    np.testing.assert_array_equal(_streamed(held), _expected(image_files))
    with_memory = _pids()
    assert not with_memory & files_only, "a process has the images that there were when it was forked"
    np.testing.assert_array_equal(_streamed(held.take(np.arange(42)[::-1])), _expected(image_files)[::-1])
    assert _pids() == with_memory
    views = centre_views(image_files.sizes[:1])
    (large,) = ViewStream(image_files, 1500, 1).batches([np.array([0])], [views])
    np.testing.assert_array_equal(large.numpy(), read_views(image_files, np.array([0]), views, 1500))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_file_that_ends_its_process_is_named_and_all_others_are_read(
    image_files: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    _dying_at(monkeypatch, number, image_files.paths[17], tmp_path / "deaths")
    with pytest.raises(DamagedImageError, match=f"ended the process that decodes it by signal {number.name}") as caught:
        _streamed(image_files)
    assert caught.value.path == str(image_files.root / image_files.paths[17])
    found = damaged_files(image_files, workers=2)
    assert list(found) == [caught.value.path]
    others = image_files.take(np.delete(np.arange(42), 17)[:35])
    np.testing.assert_array_equal(_streamed(others), _expected(others))


def test_a_process_that_is_ended_from_outside_names_its_file_and_does_not_blame_it(
    image_files: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _dying_at(monkeypatch, signal.SIGKILL, image_files.paths[3], tmp_path / "deaths")
    with pytest.raises(DataError, match=r"SIGKILL, perhaps for lack of memory, at .*/3\.png") as caught:
        _streamed(image_files)
    assert not isinstance(caught.value, DamagedImageError)


def test_an_idle_process_that_has_died_is_replaced_and_no_file_is_blamed(image_files: ImageFiles) -> None:
    _streamed(image_files)
    for pid in _pids():
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    np.testing.assert_array_equal(_streamed(image_files), _expected(image_files))


def test_processes_that_cannot_start_are_given_up(image_files: ImageFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_process, "_leave_alone", lambda kept: os._exit(3))
    with pytest.raises(DataError, match="ended with exit code 3"):
        _streamed(image_files)


def test_damaged_files_are_found_wherever_they_stand(image_files: ImageFiles, tmp_path: Path) -> None:
    for path in image_files.paths:
        (tmp_path / path).write_bytes((image_files.root / path).read_bytes())
    files = replace(image_files, root=tmp_path)
    assert damaged_files(files, workers=2) == {}
    broken = [0, 1, 2, 31, 32, 41]
    for index in broken:
        (tmp_path / files.paths[index]).write_bytes(b"no image")
    (tmp_path / files.paths[20]).unlink()
    found = damaged_files(files, workers=2)
    assert sorted(found) == sorted(str(tmp_path / files.paths[index]) for index in [*broken, 20])
    assert found[str(tmp_path / files.paths[20])] == "cannot be read as an image: missing"
    assert damaged_files(files.take(np.array(broken)), workers=1).keys() < found.keys()


def test_a_process_ends_with_its_parent(image_files: ImageFiles) -> None:
    ours, theirs = get_context("fork").Pipe()

    def parent() -> None:
        _streamed(image_files)
        theirs.send(sorted(_pids()))
        os.kill(os.getpid(), signal.SIGKILL)

    process = get_context("fork").Process(target=parent)
    process.start()
    orphans = ours.recv()
    process.join()
    deadline = time.monotonic() + 20
    while any(_lives(pid) for pid in orphans):
        assert time.monotonic() < deadline, "the processes outlive their parent"
        time.sleep(0.1)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # a container may have nobody who waits for orphans


def test_a_forked_process_has_decoders_of_its_own(image_files: ImageFiles) -> None:
    _streamed(image_files)
    ours, theirs = get_context("fork").Pipe()
    process = get_context("fork").Process(target=lambda: theirs.send(_streamed(image_files)))
    process.start()
    np.testing.assert_array_equal(ours.recv(), _expected(image_files))
    process.join()
    np.testing.assert_array_equal(_streamed(image_files), _expected(image_files))


@given(st.integers(1, 4000))
def test_a_chunk_is_bounded_by_pixels(size: int) -> None:
    n = chunk_size(size)
    assert 1 <= n <= CHUNK
    assert n * size**2 <= max(CHUNK_PIXELS, size**2)


def test_closing_twice_does_nothing() -> None:
    mine = Decoders()
    mine.close()
    mine.close()
