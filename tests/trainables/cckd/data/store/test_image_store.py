"""What a store holds: the same bytes however it was built, nothing torn, altered or outdated, and readable as a set."""

import errno
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.damaged_images import encoded, flipped
from trainables.cckd.data.images.decode import decoded, read_image
from trainables.cckd.data.images.image_files import ImageFiles, StoredFiles
from trainables.cckd.data.images.scan import scan
from trainables.cckd.data.store.image_store import ImageStore, file_is_whole
from trainables.cckd.data.store.small_image import small_sizes
from trainables.cckd.errors import DamagedImageError, DataError


def build(store: ImageStore, files: ImageFiles) -> None:
    for row in store.unfinished(files).tolist():
        store.make(files, row)


def contents(store: ImageStore) -> Mapping[str, bytes]:
    return {
        str(path.relative_to(store.folder)): path.read_bytes() for path in store.folder.rglob("*") if path.is_file()
    }


def test_every_kind_of_image_has_the_pixels_of_its_shrunk_original(store: ImageStore, originals: ImageFiles) -> None:
    build(store, originals)
    small = store.stored(originals)
    np.testing.assert_array_equal(small.sizes, small_sizes(originals.sizes, store.shorter))
    for row in range(len(originals)):
        found = read_image(small, row).astype(float)
        whole = decoded((originals.root / originals.paths[row]).read_bytes())
        height, width = small.sizes[row].tolist()
        expected = np.asarray(Image.fromarray(whole).resize((width, height), Image.Resampling.BICUBIC)).astype(float)
        assert found.shape == expected.shape
        assert np.abs(found - expected).mean() < 4
    assert len(contents(store)) == len(originals) - 1, "an image that is not larger stays in its own file"
    np.testing.assert_array_equal(read_image(small, len(originals) - 1), whole)


def test_a_stored_set_keeps_labels_and_order_and_is_taken_from_like_any_other(store, originals: ImageFiles) -> None:
    small = store.stored(originals)
    taken = small.take(np.array([3, 16, 0]))
    assert isinstance(taken, StoredFiles)
    assert taken.paths == (small.paths[3], small.paths[16], small.paths[0])
    assert taken.paths[1] == str(originals.root / originals.paths[16])
    np.testing.assert_array_equal(taken.labels, originals.labels[[3, 16, 0]])
    assert store.stored(small) is small


def test_a_whole_store_has_nothing_to_make_and_an_empty_one_everything(store, originals: ImageFiles) -> None:
    all_larger = list(range(len(originals) - 1))
    assert store.absent(originals).tolist() == store.unfinished(originals).tolist() == all_larger
    build(store, originals)
    seen: list[int] = []
    assert store.unfinished(originals, seen.append).tolist() == store.absent(originals).tolist() == []
    assert seen[-1] == len(originals) - 1
    nothing = originals.take(np.array([], np.int64))
    assert store.unfinished(nothing).tolist() == store.absent(nothing).tolist() == []


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _altered(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(flipped(content, len(content) // 2))


def _swapped(path: Path) -> None:
    path.write_bytes(next(other for other in path.parent.parent.rglob("*.jpg") if other != path).read_bytes())


@pytest.mark.parametrize("harm", [_torn, _altered, _swapped, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_found_and_that_image_alone_is_made_again(
    store: ImageStore, originals: ImageFiles, harm: Callable[[Path], object]
) -> None:
    build(store, originals)
    before = contents(store)
    harm(store.folder / store.stored(originals).paths[5])
    assert contents(store) != before
    assert store.unfinished(originals).tolist() == [5]
    build(store, originals)
    assert contents(store) == before


def test_every_reader_sees_a_damaged_file_at_once(store: ImageStore, originals: ImageFiles) -> None:
    build(store, originals)
    small = store.stored(originals)
    for row, harm in ((2, _torn), (3, _altered), (4, _swapped)):
        harm(store.folder / small.paths[row])
        with pytest.raises(DamagedImageError, match=rf"{small.paths[row]} is not as the image store wrote it"):
            read_image(small, row)
    (store.folder / small.paths[5]).unlink()
    with pytest.raises(DamagedImageError, match=rf"{small.paths[5]} cannot be read as an image: missing"):
        read_image(small, 5)


def test_an_original_that_changes_gets_another_file(store: ImageStore, originals: ImageFiles) -> None:
    build(store, originals)
    path = originals.root / originals.paths[2]
    path.write_bytes(encoded("jpeg", 77, 88, seed=9))
    now = scan({"train": ImageFiles.listed(originals.root, originals.paths, originals.labels)}).sets["train"]
    assert store.unfinished(now).tolist() == [2]
    build(store, now)
    assert store.stored(now).paths[2] != store.stored(originals).paths[2]
    assert read_image(store.stored(now), 2).shape == (32, 37, 3)


def test_a_change_that_the_mark_does_not_show_is_seen_by_the_time_of_the_original(store, originals) -> None:
    build(store, originals)
    path = originals.root / originals.paths[0]
    for seconds in (-1e6, 5, 1e6):  # an older file may replace a newer one, and a clock may be wrong
        other = time.time() + seconds
        os.utime(path, (other, other))
        assert store.unfinished(originals).tolist() == [0]
        build(store, originals)
        assert store.unfinished(originals).tolist() == [], "it is made again once, not at every start"


def test_an_original_that_changes_between_scan_and_build_is_named(store: ImageStore, originals: ImageFiles) -> None:
    path = originals.root / originals.paths[2]
    height, width = originals.sizes[2].tolist()
    path.write_bytes(encoded("jpeg", height, width, seed=9))
    with pytest.raises(DamagedImageError, match=r"2\.img has changed since it was scanned"):
        store.make(originals, 2)
    path.write_bytes(b"torn")
    with pytest.raises(DamagedImageError, match=r"2\.img cannot be read as an image: not a JPEG"):
        store.make(originals, 2)
    path.unlink()
    with pytest.raises(DamagedImageError, match=r"2\.img cannot be read as an image: missing"):
        store.make(originals, 2)
    assert contents(store) == {}


def test_one_path_in_two_sets_has_one_file_and_two_marks_have_two(store: ImageStore, originals: ImageFiles) -> None:
    elsewhere = replace(originals, root=originals.root / "moved")
    assert store.stored(elsewhere).paths[:-1] == store.stored(originals).paths[:-1], "a folder may move"
    other = replace(originals, marks=originals.marks + np.uint64(1))
    assert not set(store.stored(other).paths[:-1]) & set(store.stored(originals).paths)
    assert ImageStore(store.root, 48).folder != store.folder


def test_a_full_disk_is_one_line_and_leaves_no_part_of_a_file(store: ImageStore, originals: ImageFiles) -> None:
    store.root.parent.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", store.root.parent], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount a small disk")
    try:
        with pytest.raises(DataError) as caught:
            build(store, originals)
        (line,) = caught.value.faults
        assert line.startswith(f"the image store {store.folder} cannot be written: No space left on device; make room")
        assert all(file_is_whole(store.folder / name) for name in contents(store))
    finally:
        subprocess.run(["umount", "--lazy", store.root.parent], check=True)


@pytest.mark.parametrize(("number", "remedy"), [(errno.EDQUOT, "make room there"), (errno.EIO, "mend this")])
def test_only_a_full_disk_asks_for_room(store: ImageStore, originals, monkeypatch, number: int, remedy: str) -> None:
    def refuse(path: Path, content: bytes) -> int:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(DataError) as caught:
        store.make(originals, 0)
    (line,) = caught.value.faults
    assert line.startswith(
        f"the image store {store.folder} cannot be written: {os.strerror(number)}, at {store.folder}/"
    )
    assert line.endswith(f"; {remedy} and go on, or begin a study with --image-store none")


def test_leftovers_of_a_kill_are_removed(store: ImageStore, originals: ImageFiles) -> None:
    build(store, originals)
    before = contents(store)
    (store.folder / store.stored(originals).paths[0]).with_name(".x.jpg.1.ab.tmp").write_bytes(b"half")
    store.remove_leftovers()
    assert contents(store) == before


def test_a_leftover_that_a_dying_worker_renames_meanwhile_does_no_harm(store: ImageStore, monkeypatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: [folder / "ab" / ".x.jpg.1.ab.tmp"])
    store.remove_leftovers()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_builds_that_are_killed_again_and_again_end_with_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    n, rng = 120, np.random.default_rng(0)
    (tmp_path / "originals").mkdir()
    for number in range(n):
        (tmp_path / "originals" / f"{number}.jpg").write_bytes(encoded("jpeg", 200, 300, seed=number))
    listed = ImageFiles.listed(tmp_path / "originals", [f"{number}.jpg" for number in range(n)], [0] * n)
    files = scan({"train": listed}).sets["train"]
    undisturbed, killed = (ImageStore(tmp_path / name, 32) for name in ("undisturbed", "killed"))
    build(undisturbed, files)
    n_killed = 0
    while len(store_files(killed)) < n:
        process = get_context("fork").Process(target=build, args=(killed, files))
        process.start()
        wanted = len(store_files(killed)) + int(rng.integers(10, 30))
        while process.is_alive() and len(store_files(killed)) < wanted:
            time.sleep(rng.uniform(0, 0.003))
        n_killed += process.is_alive()
        process.kill()
        process.join()
    assert n_killed >= 4
    killed.remove_leftovers()
    build(killed, files)
    assert contents(killed) == contents(undisturbed)


def store_files(store: ImageStore) -> list[Path]:
    return list(store.folder.rglob("*.jpg"))
