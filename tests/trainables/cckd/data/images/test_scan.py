"""The scan before a study: one error that names what is broken, or files left out and counted."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.cckd.data.images.formats.header import read_header
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.scan import scan
from trainables.cckd.data.images.sets import hash_sets
from trainables.cckd.errors import DataError


def _files(root: Path, n: int = 30) -> ImageFiles:
    """Images of n different sizes, labels 0, 1, 2 in turn."""
    paths = [f"{index}.png" for index in range(n)]
    for index, path in enumerate(paths):
        Image.new("L", (index + 1, 2 * index + 1)).save(root / path)
    return ImageFiles.listed(root, paths, np.arange(n) % 3)


def test_sizes_come_in_the_files_order(tmp_path: Path) -> None:
    found = scan({"train": _files(tmp_path, 600)}).sets["train"]
    np.testing.assert_array_equal(found.sizes, [(2 * index + 1, index + 1) for index in range(600)])
    assert (found.sizes.dtype, found.marks.dtype) == (np.int32, np.uint64)
    assert len(set(found.marks.tolist())) == 600


def test_one_error_counts_all_broken_files_and_names_ten(tmp_path: Path) -> None:
    files = _files(tmp_path)
    for index in range(12):
        (tmp_path / f"{index}.png").write_bytes(b"no image" if index else b"")
    (tmp_path / "29.png").unlink()
    with pytest.raises(DataError) as caught:
        scan({"train": files})
    summary, *named, more = caught.value.faults
    assert summary == "13 of 30 image files cannot be used; --skip-corrupt leaves them out"
    assert named[:2] == [f"{tmp_path}/0.png: empty", f"{tmp_path}/1.png: not a JPEG, PNG or WebP image"]
    assert (len(named), more) == (10, "and 3 more")


def test_a_list_whose_files_are_all_gone_is_not_to_be_skipped(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    files = _files(tmp_path / "there", 6)
    elsewhere = ImageFiles.listed(tmp_path / "gone", files.paths, files.labels)
    with pytest.raises(DataError) as caught:
        scan({"train": files, "val": elsewhere, "test": elsewhere})
    assert caught.value.faults[0] == (
        f"6 of 12 image files cannot be used; none of val and test is left: are the paths right, and the folder "
        f"{tmp_path / 'gone'}?"
    )


@pytest.mark.parametrize(("broken", "helps"), [((0, 3), True), ((0, 3, 6, 9), False), ((1, 4, 7, 10), False)])
def test_skipping_is_offered_only_where_every_class_keeps_an_image(
    tmp_path: Path, broken: tuple[int, ...], helps: bool
) -> None:
    files = _files(tmp_path, 12)
    for index in broken:
        (tmp_path / f"{index}.png").unlink()
    with pytest.raises(DataError) as caught:
        scan({"train": files})
    advice = "--skip-corrupt leaves them out" if helps else "a class of train would have no image left without them"
    assert caught.value.faults[0] == f"{len(broken)} of 12 image files cannot be used; {advice}"


def test_skipped_files_are_left_out_and_listed(tmp_path: Path) -> None:
    files = _files(tmp_path)
    (tmp_path / "4.png").unlink()
    found = scan({"train": files}, skip_corrupt=True)
    assert found.skipped == (f"{tmp_path}/4.png: missing",)
    kept = found.sets["train"]
    assert kept.paths == tuple(path for path in files.paths if path != "4.png")
    assert kept.labels.tolist() == [index % 3 for index in range(30) if index != 4]
    assert kept.sizes[4].tolist() == [11, 6]


def test_a_set_under_two_names_is_read_once_and_stays_one_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = _files(tmp_path)
    (tmp_path / "4.png").unlink()
    opened: list[Path] = []
    monkeypatch.setattr(
        "trainables.cckd.data.images.scan.read_header", lambda path: opened.append(path) or read_header(path)
    )
    found = scan({"val": files, "test": files}, skip_corrupt=True)
    assert len(opened) == 30
    assert found.sets["val"] is found.sets["test"]
    assert len(found.skipped) == 1
    with pytest.raises(DataError, match=r"^1 of 30 "):
        scan({"val": files, "test": files})


def test_it_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.cckd.data.images.scan._CHUNK", 8)
    files, told = _files(tmp_path), []
    scan({"train": files, "val": files, "test": files.take(np.arange(3))}, on_progress=lambda *call: told.append(call))
    assert told == [(n, 33) for n in (0, 8, 16, 24, 30, 33)]


def test_a_file_written_anew_or_another_label_changes_the_sets_hash_and_a_moved_folder_does_not(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    listed = _files(tmp_path / "one", 6)

    def _hash(files: ImageFiles) -> str:
        return hash_sets(scan({"train": files}).sets)

    first = _hash(listed)
    relabelled = ImageFiles.listed(listed.root, listed.paths, listed.labels[::-1])
    assert _hash(relabelled) != first
    (tmp_path / "one").rename(tmp_path / "two")
    moved = ImageFiles.listed(tmp_path / "two", listed.paths, listed.labels)
    assert _hash(moved) == first
    Image.new("L", (3, 5), 7).save(tmp_path / "two" / "2.png")  # as large as before
    assert _hash(moved) != first


def test_taking_keeps_paths_labels_sizes_and_marks_together(tmp_path: Path) -> None:
    files = scan({"train": _files(tmp_path)}).sets["train"]
    some = files.take(np.array([7, 2]))
    assert some.paths == ("7.png", "2.png")
    assert some.labels.tolist() == [1, 2]
    assert some.sizes.tolist() == [[15, 8], [5, 3]]
    assert some.marks.tolist() == [files.marks[7], files.marks[2]]
