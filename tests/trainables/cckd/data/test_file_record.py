"""What a study may lose and what must not change: the record of its image files against the files of now."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.damaged_images import encoded
from trainables.cckd.data.file_record import files_lost, write_record
from trainables.cckd.data.images.sets import hash_sets
from trainables.cckd.data.load import LongTailData, load_data, without
from trainables.cckd.data.spec import parse_data
from trainables.cckd.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part, n in (("train", 6), ("val", 3), ("test", 3)):
        for label, name in enumerate(("ant", "bee")):
            (tmp_path / "set" / part / name).mkdir(parents=True)
            for index in range(n):
                content = encoded("png", 9 + index, 8, seed=10 * index + label)
                (tmp_path / "set" / part / name / f"{index}.png").write_bytes(content)
    return tmp_path / "set"


def _load(root: Path, *, options: str = "", skip: bool = True) -> LongTailData:
    return load_data(parse_data(f"image_folder:path={root}{options}"), data_root=root, skip_corrupt=skip)


@pytest.fixture
def record(root: Path, tmp_path: Path) -> Path:
    write_record(tmp_path / "files.safetensors", _load(root))
    return tmp_path / "files.safetensors"


def test_nothing_is_lost_of_the_same_files(root: Path, record: Path) -> None:
    assert files_lost(record, _load(root)) == ()


def test_damaged_and_missing_files_are_lost_and_named_once(root: Path, record: Path) -> None:
    (root / "train/ant/2.png").write_bytes(b"torn")
    (root / "val/bee/0.png").unlink()
    assert files_lost(record, _load(root)) == ("train/ant/2.png", "val/bee/0.png")


def test_a_file_under_two_names_of_sets_is_lost_once(root: Path, tmp_path: Path) -> None:
    spec = parse_data(f"image_folder:path={root}")
    write_record(tmp_path / "r", load_data(spec, data_root=root, split="paper"))
    (root / "test/ant/1.png").unlink()
    assert files_lost(tmp_path / "r", load_data(spec, data_root=root, split="paper")) == ("test/ant/1.png",)


def test_a_file_that_holds_another_image_is_no_loss(root: Path, record: Path) -> None:
    (root / "train/ant/2.png").write_bytes(encoded("png", 11, 8, seed=99))
    (root / "train/bee/1.png").unlink()
    with pytest.raises(DataError, match=r"in the train set others have changed: train/ant/2\.png"):
        files_lost(record, _load(root))


@pytest.mark.parametrize("changed", ["labels", "order", "new"])
def test_labels_order_and_new_files_are_no_loss(root: Path, record: Path, changed: str) -> None:
    data = _load(root)
    train = data.train
    if changed == "labels":
        train = replace(train, labels=1 - train.labels)
    elif changed == "order":
        train = train.take(np.arange(len(train))[::-1])
    else:
        (root / "train/ant/new.png").write_bytes(encoded("png"))
        train = _load(root).train
    with pytest.raises(DataError, match="may leave a study; in the train set others have changed: "):
        files_lost(record, replace(data, train=train))


def test_without_a_record_nothing_can_be_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent must say what the files were"):
        files_lost(tmp_path / "absent", _load(root))


def test_arrays_have_no_record(tmp_path: Path) -> None:
    write_record(tmp_path / "r", load_data(parse_data("digits_lt"), data_root=tmp_path))
    assert not (tmp_path / "r").exists()


def test_files_that_leave_take_nothing_else_along(root: Path) -> None:
    whole = _load(root)
    gone = {"train/ant/2.png": "is damaged", "val/bee/0.png": "is damaged", "elsewhere.png": "no set has it"}
    data = without(whole, gone)
    assert data.counts == (5, 6)
    assert data.train.paths == tuple(path for path in whole.train.paths if path not in gone)
    assert data.train.labels.tolist() == [0] * 5 + [1] * 6
    assert (len(data.val), data.test) == (5, whole.test)
    assert data.left_out == gone
    assert data.sha256 == hash_sets({"train": data.train, "val": data.val, "test": data.test}) != whole.sha256
    again = without(data, {"train/ant/3.png": "is damaged"})
    assert again.counts == (4, 6)
    assert again.grouped_by == whole.counts, "a class stays in its group"
    assert again.left_out.keys() == {*gone, "train/ant/3.png"}


def test_groups_stay_those_of_the_beginning(root: Path) -> None:
    for index in range(6, 20):
        (root / f"train/ant/{index}.png").write_bytes(encoded("png", 5, 5, seed=index))
    whole = _load(root)
    assert whole.groups.to_dict()["medium"] == [0]
    assert without(whole, {"train/ant/7.png": "is damaged"}).groups.to_dict()["medium"] == [0]


def test_a_class_that_would_be_empty_is_named(root: Path) -> None:
    gone = {f"val/bee/{index}.png": "is damaged" for index in range(3)}
    with pytest.raises(DataError, match=r"the val set has no usable image of class 1 \(bee\); unusable: val/bee/0.png"):
        without(_load(root), gone)


def test_one_set_under_two_names_stays_one(root: Path) -> None:
    data = load_data(parse_data(f"image_folder:path={root}"), data_root=root, split="paper")
    left = without(data, {"test/ant/1.png": "is damaged"})
    assert left.val is left.test
    assert len(left.test) == 5
