"""A user's own images, from folders and lists of real files to the three sets."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.spec import parse_data
from trainables.cckd.errors import DataError

CLASSES = ("ant", "bee", "cat")


def _image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 7), (len(path.name) * 20, 0, 0)).save(path)


def _folder(root: Path, **per_class: int) -> Path:
    for part, n in per_class.items():
        for name in CLASSES:
            for index in range(n):
                _image(root / part / name / f"{index}.jpg")
    return root


def _load(text: str, *, split: str | None = None, skip_corrupt: bool = False) -> LongTailData:
    return load_data(parse_data(text), data_root=Path("/nonexistent"), split=split, skip_corrupt=skip_corrupt)


def _paths(files: object) -> set[str]:
    assert isinstance(files, ImageFiles)
    return set(files.paths)


def test_three_folders_give_three_sets_and_every_image_is_kept(tmp_path: Path) -> None:
    _folder(tmp_path, train=5, val=2, test=3)
    _image(tmp_path / "train" / "bee" / "more" / "deep.png")
    (tmp_path / "train" / ".DS_Store").touch()
    (tmp_path / "train" / "bee" / ".hidden.jpg").touch()
    data = _load(f"image_folder:path={tmp_path},size=64")
    assert (data.class_names, data.counts) == (CLASSES, (5, 6, 5))
    assert (len(data.val), len(data.test), data.split, data.selected_on) == (6, 9, "own", "val")
    assert "train/bee/more/deep.png" in _paths(data.train)
    assert data.image_shape == (3, 64, 64)
    assert isinstance(data.train, ImageFiles)
    assert data.train.sizes.tolist() == [[7, 9]] * 16
    assert data.skipped == ()


@pytest.mark.parametrize("name", ["valid", "validation", "dev"])
def test_a_folder_of_d_val_may_have_its_other_names(tmp_path: Path, name: str) -> None:
    data = _load(f"image_folder:path={_folder(tmp_path, train=5, test=3, **{name: 2})}")
    assert (data.split, len(data.val)) == ("own", 6)
    assert {path.split("/")[0] for path in _paths(data.val)} == {name}


def test_two_folders_of_d_val_are_refused(tmp_path: Path) -> None:
    _folder(tmp_path, train=5, test=3, val=2, valid=2)
    with pytest.raises(
        DataError, match=r"must hold one folder of D_val \(val, valid, validation, dev\); it holds val, valid"
    ):
        _load(f"image_folder:path={tmp_path}")


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff", b"a\xc3"])
def test_a_class_whose_name_is_no_utf_8_is_refused_and_a_file_is_carried(tmp_path: Path, name: bytes) -> None:
    _folder(tmp_path, train=5, test=3)
    (tmp_path / "train" / "ant" / "0.jpg").rename(os.fsdecode(os.fsencode(tmp_path / "train" / "ant") + b"/" + name))
    assert _load(f"image_folder:path={tmp_path},holdout=1").counts == (4, 4, 4)
    (tmp_path / "train" / "bee").rename(os.fsdecode(os.fsencode(tmp_path / "train") + b"/" + name))
    with pytest.raises(DataError, match="the name of a class must be UTF-8") as caught:
        _load(f"image_folder:path={tmp_path}")
    "\n".join(caught.value.faults).encode()  # it can be printed


def test_a_path_with_a_comma_stands_in_quotes(tmp_path: Path) -> None:
    data = _load(f'image_folder:path="{_folder(tmp_path / "birds, small", train=5, test=3)}",holdout=1')
    assert data.counts == (4, 4, 4)
    assert _load(str(data.spec)).sha256 == data.sha256


def test_without_val_images_are_held_out_of_train(tmp_path: Path) -> None:
    _folder(tmp_path, train=5, test=3)
    data = _load(f"image_folder:path={tmp_path},holdout=2")
    assert (data.split, data.counts, len(data.val)) == ("holdout", (3, 3, 3), 6)
    assert not _paths(data.train) & _paths(data.val)
    with pytest.raises(DataError, match=r"'own' needs a val set.*choices: holdout, split_test, paper"):
        _load(f"image_folder:path={tmp_path}", split="own")


def test_a_hold_out_larger_than_the_smallest_class_is_refused(tmp_path: Path) -> None:
    _folder(tmp_path, train=5, test=3)
    (tmp_path / "train" / "bee" / "0.jpg").unlink()
    with pytest.raises(
        DataError,
        match=r"smaller than the smallest class.*takes 4 per class; give .*holdout=K.*; class 1 \(bee\) has 4$",
    ):
        _load(f"image_folder:path={tmp_path},holdout=4")


def test_a_long_tail_is_cut_on_top_of_what_the_hold_out_leaves(tmp_path: Path) -> None:
    _folder(tmp_path, train=12, test=2)
    data = _load(f"image_folder:path={tmp_path},holdout=2,n_max=10,ir=5")
    assert data.counts == (10, 4, 2)
    assert not _paths(data.train) & _paths(data.val)
    ways = "choose n_max=10 or less, a smaller holdout=K, or --split split_test"
    with pytest.raises(
        DataError, match=rf"takes 2 images .* leaves 10 of class 0 \(\w+\), but n_max=11 needs 11; {ways}$"
    ):
        _load(f"image_folder:path={tmp_path},holdout=2,n_max=11")


def test_paper_selects_on_test_and_scans_it_once(tmp_path: Path) -> None:
    _folder(tmp_path, train=3, test=2)
    data = _load(f"image_folder:path={tmp_path}", split="paper")
    assert data.selected_on == "test"
    assert data.val is data.test


def test_every_fault_of_the_folders_is_named_at_once(tmp_path: Path) -> None:
    _folder(tmp_path, train=2, val=1)
    (tmp_path / "train" / "dog").mkdir()
    _image(tmp_path / "train" / "stray.jpg")
    _image(tmp_path / "val" / "fox" / "0.jpg")
    with pytest.raises(DataError) as caught:
        _load(f"image_folder:path={tmp_path}")
    parts = (
        "beside them lie stray.jpg",
        "test must be a folder of class folders; No such file or directory",
        "every class folder needs an image; none in dog",
        "classes of train only; got also fox",
        "it has no folder dog",
    )
    assert len(caught.value.faults) == len(parts)
    assert all(part in fault for part, fault in zip(parts, caught.value.faults, strict=True))


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_an_empty_split_is_refused(tmp_path: Path, part: str) -> None:
    _folder(tmp_path, **{name: 2 for name in ("train", "val", "test") if name != part})
    (tmp_path / part).mkdir()
    with pytest.raises(DataError, match=f"{part} must hold a folder for every class; it holds none") as caught:
        _load(f"image_folder:path={tmp_path}")
    assert len(caught.value.faults) == 1


def test_lists_give_the_same_sets_as_the_folders_they_list(tmp_path: Path) -> None:
    _folder(tmp_path, train=4, val=1, test=2)
    folders = _load(f"image_folder:path={tmp_path}")
    for part in ("train", "val", "test"):
        files = getattr(folders, part)
        (tmp_path / f"{part}.txt").write_text(
            "".join(f"{p} {c}\n" for p, c in zip(files.paths, files.labels, strict=True))
        )
    lists = _load(
        ",".join([f"image_list:root={tmp_path}", *(f"{p}={tmp_path}/{p}.txt" for p in ("train", "val", "test"))])
    )
    assert lists.sha256 == folders.sha256
    assert lists.class_names == CLASSES
    assert lists.split == "own"
    held = _load(f"image_list:root={tmp_path},train={tmp_path}/train.txt,test={tmp_path}/test.txt,holdout=1")
    assert (held.split, held.counts) == ("holdout", (3, 3, 3))


def test_broken_files_are_named_in_one_error_or_skipped_and_counted(tmp_path: Path) -> None:
    _folder(tmp_path, train=4, val=1, test=2)
    (tmp_path / "train" / "ant" / "notes.txt").write_text("not an image")
    (tmp_path / "test" / "cat" / "1.jpg").write_bytes((tmp_path / "test" / "cat" / "0.jpg").read_bytes()[:-2])
    text = f"image_folder:path={tmp_path}"
    with pytest.raises(DataError) as caught:
        _load(text)
    assert caught.value.faults == (
        "2 of 22 image files cannot be used; --skip-corrupt leaves them out",
        f"{tmp_path}/train/ant/notes.txt: not a JPEG, PNG or WebP image",
        f"{tmp_path}/test/cat/1.jpg: torn: its end is missing",
    )
    data = _load(text, skip_corrupt=True)
    assert len(data.skipped) == 2
    assert (data.counts, np.bincount(data.test.labels).tolist()) == ((4, 4, 4), [2, 2, 1])


def test_a_class_that_loses_every_image_is_refused_even_when_skipping(tmp_path: Path) -> None:
    _folder(tmp_path, train=2, val=1, test=2)
    (tmp_path / "val" / "bee" / "0.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"the val set has no usable image of class 1 \(bee\).*0\.jpg: empty"):
        _load(f"image_folder:path={tmp_path}", skip_corrupt=True)


def test_only_files_the_study_reads_are_scanned(tmp_path: Path) -> None:
    _folder(tmp_path, train=4, val=1, test=1)
    chosen = _paths(_load(f"image_folder:path={tmp_path},n_max=2").train)
    unused = next(path for path in ("train/ant/0.jpg", "train/ant/1.jpg", "train/ant/2.jpg") if path not in chosen)
    (tmp_path / unused).write_bytes(b"")
    assert _paths(_load(f"image_folder:path={tmp_path},n_max=2").train) == chosen
