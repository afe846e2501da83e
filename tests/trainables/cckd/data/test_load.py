"""Splits first, then the long tail: sizes, disjointness, and what each seed may change."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainables.cckd.data.images.sets import ImageSet, RawData, hash_sets
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.sources.digits import read_digits
from trainables.cckd.data.spec import parse_data
from trainables.cckd.data.splits import split_sets
from trainables.cckd.errors import DataError

NOWHERE = Path("/nonexistent")
NAMES = tuple("0123456789")


def _load(text: str = "digits_lt", *, split: str | None = None, seed: int = 0) -> LongTailData:
    return load_data(parse_data(text), data_root=NOWHERE, split=split, seed=seed, download=False)


def _numbered(per_class: int, n_test: int) -> RawData:
    """Ten classes of 1x1 images, every image with its own value, so that sets can be compared by content."""

    def _set(first: int, n: int) -> ImageSet:
        values = np.arange(first, first + 10 * n, dtype=np.uint16).view(np.uint8).reshape(-1, 1, 1, 2)
        return ImageSet(values, np.tile(np.arange(10), n).astype(np.int64))

    return RawData(_set(0, per_class), _set(10 * per_class, n_test), "made up")


def _values(of_set: ImageSet) -> set[int]:
    return set(of_set.images.reshape(len(of_set), 2).copy().view(np.uint16).ravel().tolist())


def test_digits_have_the_documented_sizes() -> None:
    data = _load()
    assert data.counts == (90, 64, 46, 33, 23, 17, 12, 8, 6, 4)
    assert tuple(np.bincount(data.train.labels)) == data.counts
    assert np.bincount(data.val.labels).tolist() == np.bincount(data.test.labels).tolist() == [40] * 10
    assert data.image_shape == (1, 8, 8)
    assert (data.train.images.min(), data.train.images.max()) == (0, 255)
    assert (data.padding, data.flip, data.selected_on) == (1, False, "val")


def test_digits_keep_scikit_learns_pixels() -> None:
    from sklearn.datasets import load_digits

    raw = read_digits(NOWHERE, False, {})
    every = np.concatenate([raw.pool.images, raw.test.images])[:, 0]
    original = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    assert sorted(image.tobytes() for image in every) == sorted(image.tobytes() for image in original)


@pytest.mark.parametrize(
    ("split", "sizes"), [("holdout", (60, 40, 30)), ("split_test", (100, 10, 20)), ("paper", (100, 30, 30))]
)
def test_splits_have_their_sizes_and_share_no_image(split: str, sizes: tuple[int, int, int]) -> None:
    sets = split_sets(_numbered(10, 3), split, class_names=NAMES, n_holdout=4)
    assert tuple(len(of_set) for of_set in sets) == sizes
    pool, val, test = (_values(of_set) for of_set in sets)
    assert not pool & val
    assert not pool & test
    assert bool(val & test) == (split == "paper")
    for of_set in sets[1:]:
        assert len(set(np.bincount(of_set.labels, minlength=10))) == 1


def test_own_takes_the_sets_val_and_leaves_pool_and_test_whole() -> None:
    raw = replace(_numbered(10, 3), val=_numbered(2, 1).test)
    pool, val, test = split_sets(raw, "own", class_names=NAMES, n_holdout=4)
    assert (pool, val, test) == (raw.pool, raw.val, raw.test)


def test_a_hold_out_that_would_leave_a_class_empty_is_refused_by_class() -> None:
    raw = _numbered(10, 3)
    raw = replace(raw, pool=raw.pool.take(np.flatnonzero((raw.pool.labels != 3) | (np.arange(100) < 50))))
    ways = "give a val set, holdout=K after --data, or --split split_test"
    with pytest.raises(
        DataError, match=rf"smaller than the smallest class.*takes 5 per class; {ways}; class 3 \(3\) has 5$"
    ):
        split_sets(raw, "holdout", class_names=NAMES, n_holdout=5)


def test_a_test_set_of_one_image_a_class_can_not_be_halved() -> None:
    with pytest.raises(DataError, match=r"needs 2 test images of every class, but class 0 \(0\) has 1"):
        split_sets(_numbered(10, 1), "split_test", class_names=NAMES, n_holdout=4)


def test_the_long_tail_is_cut_from_what_the_hold_out_leaves() -> None:
    raw = read_digits(NOWHERE, False, {})
    pool, val, _ = split_sets(raw, "holdout", class_names=NAMES, n_holdout=40)
    assert len(pool) + len(val) == len(raw.pool)
    kept = {image.tobytes() for image in pool.images}
    assert all(image.tobytes() in kept for image in _load().train.images)


def test_another_seed_cuts_another_tail_but_leaves_val_and_test() -> None:
    first, second = _load(seed=0), _load(seed=1)
    assert first.sha256 != second.sha256
    assert hash_sets({"train": first.train}) != hash_sets({"train": second.train})
    assert hash_sets({"val": first.val, "test": first.test}) == hash_sets({"val": second.val, "test": second.test})
    assert first.counts == second.counts


def test_loading_twice_gives_the_same_images() -> None:
    assert _load(seed=3).sha256 == _load(seed=3).sha256


def test_the_hold_out_does_not_depend_on_the_tail() -> None:
    short, long = _load("digits_lt:n_max=20,ir=4"), _load()
    assert hash_sets({"val": short.val}) == hash_sets({"val": long.val})


def test_paper_selects_on_test_and_says_so() -> None:
    data = _load(split="paper")
    assert (data.split, data.selected_on) == ("paper", "test")
    assert hash_sets({"": data.val}) == hash_sets({"": data.test})


@pytest.mark.parametrize(
    ("options", "split", "most", "here", "short"),
    [
        ("n_max=139", None, 98, "98 here, beside 40 held out per class; got 139", "1 of 10 classes fall short"),
        ("n_max=500", "split_test", 138, "138 here; got 500", "4 of 10 classes fall short"),
        ("n_max=500,imb_type=step", "split_test", 137, "137 here; got 500", "5 of 10 classes fall short"),
    ],
)
def test_more_images_than_classes_have_are_refused_in_a_line_with_the_most(
    options: str, split: str | None, most: int, here: str, short: str
) -> None:
    with pytest.raises(DataError) as caught:
        _load(f"digits_lt:{options}", split=split)
    (fault,) = caught.value.faults
    assert fault.startswith(f"n_max of digits_lt must be at most {here}: {short}, the first is class 0 (0) with ")
    others = options.partition(",")[2]
    assert len(_load(f"digits_lt:n_max={most},{others}".rstrip(","), split=split).train)
    with pytest.raises(DataError):
        _load(f"digits_lt:n_max={most + 1},{others}".rstrip(","), split=split)


def test_a_set_without_a_fitting_tail_asks_for_a_lower_ir() -> None:
    with pytest.raises(DataError, match="digits_lt has too few images for a tail of ir=400; got n_max=500; lower ir"):
        _load("digits_lt:n_max=500,ir=400", split="split_test")


def test_a_tail_that_only_the_hold_out_makes_too_long_is_refused_by_its_name() -> None:
    with pytest.raises(
        DataError, match=r"^the hold-out takes 40 .* leaves 98 of class 0 \(0\), but n_max=120 needs 120; "
    ):
        _load("digits_lt:n_max=120")
    assert _load("digits_lt:n_max=120", split="split_test").counts[0] == 120


def test_the_hash_sees_images_labels_and_which_set_they_are_in() -> None:
    one = ImageSet(np.zeros((2, 1, 2, 2), np.uint8), np.zeros(2, np.int64))
    other_label = ImageSet(one.images, np.array([0, 1], np.int64))
    other_shape = ImageSet(one.images.reshape(2, 1, 1, 4), one.labels)
    hashes = [hash_sets({"train": s}) for s in (one, other_label, other_shape)] + [hash_sets({"val": one})]
    assert len(set(hashes)) == 4
