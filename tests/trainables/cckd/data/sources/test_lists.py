"""List files `relative/path label`: what they give, and each way they can be wrong."""

from pathlib import Path

import pytest

from trainables.cckd.data.sources.lists import class_names, read_lists
from trainables.cckd.errors import DataError


def _write(folder: Path, **lists: str) -> dict[str, Path]:
    for part, text in lists.items():
        (folder / f"{part}.txt").write_text(text)
    return {part: folder / f"{part}.txt" for part in lists}


TRAIN = "train/cat/1.jpg 0\ntrain/dog/2.jpg 1\ntrain/cat/3.jpg 0\n"
TEST = "test/4.jpg 1\ntest/5.jpg 0\n"


def test_paths_and_labels_come_in_the_files_order(tmp_path: Path) -> None:
    lists = read_lists(_write(tmp_path, train=TRAIN + "\n a dir/6 b.jpg\t1 \n", test=TEST))
    assert lists["train"].paths == ("train/cat/1.jpg", "train/dog/2.jpg", "train/cat/3.jpg", "a dir/6 b.jpg")
    assert lists["train"].labels.tolist() == [0, 1, 0, 1]
    assert lists["test"].labels.tolist() == [1, 0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_the_first_path(tmp_path: Path, encoding: str) -> None:
    for part, text in (("train", TRAIN), ("test", TEST)):
        (tmp_path / f"{part}.txt").write_text(text, encoding=encoding)
    lists = read_lists({part: tmp_path / f"{part}.txt" for part in ("train", "test")})
    assert lists["train"].paths[0] == "train/cat/1.jpg"


@pytest.mark.parametrize(
    ("lists", "fault"),
    [
        (
            {"train": "a.jpg 0\nb.jpg 1\nc.jpg 4\n", "test": "".join(f"t{c}.jpg {c}\n" for c in range(5))},
            r"every class of 0\.\.4 needs an image; none of class 2, 3$",
        ),
        ({"test": "x.jpg 1\n"}, r"test\.txt: every class of 0\.\.1 needs an image; none of class 0$"),
        (
            {"train": "a.jpg 1\nb.jpg 2\n", "test": "c.jpg 1\nd.jpg 2\n"},
            "labels must count from 0; those of .* count from 1$",
        ),
        (
            {"train": "a.jpg 1\nb.jpg 2\nc.jpg 4\n", "test": "d.jpg 4\n"},
            "labels must count from 0; those of .* count from 1$",
        ),
        ({"test": TEST + "x.jpg 2\n"}, r"test\.txt: labels must lie in 0\.\.1; got 2 \(x\.jpg\)$"),
        ({"train": TRAIN + "x.jpg -1\n"}, r"labels must lie in 0\.\.1; got -1 \(x\.jpg\)$"),
        ({"train": TRAIN + "train/cat/1.jpg 1\n"}, r"a path must be listed once; listed again: train/cat/1\.jpg$"),
        ({"train": TRAIN + "./train//cat/1.jpg 1\n"}, r"a path must be listed once; listed again: train/cat/1\.jpg$"),
        ({"test": TEST + "train/dog/2.jpg 1\n"}, r"must share no path; both list train/dog/2\.jpg$"),
        ({"test": ""}, r"test\.txt must list at least one image; it lists none$"),
        ({"train": "\n \n"}, r"train\.txt must list at least one image; it lists none$"),
        ({"train": TRAIN + "x.jpg\ny.jpg one\n"}, r"a line must read 'relative/path label'; lines 4, 5 do not$"),
        ({"train": TRAIN + "/etc/x.jpg 0\na/../../x.jpg 0\n"}, r"stay below the root; got /etc/x\.jpg, \.\./x"),
        ({"train": "a.jpg 0\nb.jpg 0\n", "test": "c.jpg 0\n"}, r"at least 2 classes; its largest label is 0$"),
    ],
)
def test_each_fault_has_its_own_sentence(tmp_path: Path, lists: dict[str, str], fault: str) -> None:
    with pytest.raises(DataError, match=fault) as caught:
        read_lists(_write(tmp_path, **{"train": TRAIN, "test": TEST, **lists}))
    assert len(caught.value.faults) == 1
    assert str(tmp_path) in caught.value.faults[0]


def test_all_faults_of_all_lists_come_at_once(tmp_path: Path) -> None:
    files = _write(tmp_path, train="a.jpg 0\na.jpg 0\nb.jpg 2\n", test="b.jpg 7\nx\n")
    with pytest.raises(DataError) as caught:
        read_lists({**files, "val": tmp_path / "none.txt"})
    parts = ["listed once", "lines 2 do not", "cannot be read", "none of class 1", "got 7", "none of class 0, 1, 2"]
    assert len(caught.value.faults) == len(parts) + 1
    assert all(part in fault for part, fault in zip(parts, caught.value.faults, strict=False))
    assert "share no path" in caught.value.faults[-1]


def test_ten_of_many_are_named_and_a_mistyped_label_costs_no_time(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of class 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 999999985 more$"):
        read_lists(_write(tmp_path, train=TRAIN + "x.jpg 999999997\n"))


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as a list of images"):
        read_lists({"train": tmp_path / "train.txt"})


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (("train/n01/a.jpg", "train/n02/b.jpg"), ("n01", "n02")),
        (("train_val2018/Aves/3/a.jpg", "train_val2018/Plantae/7/b.jpg"), ("Aves/3", "Plantae/7")),
        (("data_256/a/airfield/1.jpg", "data_256/a/attic/2.jpg"), ("airfield", "attic")),
        (("a/x/1.jpg", "a/2.jpg"), ("0", "1")),
        (("all/1.jpg", "all/2.jpg"), ("0", "1")),
        (("1.jpg", "2.jpg"), ("0", "1")),
    ],
)
def test_classes_are_named_after_their_own_folders(tmp_path: Path, paths: tuple[str, str], names: tuple[str]) -> None:
    listed = read_lists(_write(tmp_path, train=f"{paths[1]} 1\n{paths[0]} 0\n"))["train"]
    assert class_names(listed, 2) == names
