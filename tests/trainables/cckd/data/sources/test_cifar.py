"""CIFAR-LT from files in the published layout: golden counts, the field's selection, and pickles that are refused."""

import pickle
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from trainables.cckd.data.images.sets import DataUnavailableError
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.sources import cifar
from trainables.cckd.data.sources.fetch import Fetcher
from trainables.cckd.data.spec import parse_data
from trainables.cckd.errors import DataError
from trainables.cckd.long_tail import class_counts

# Published figures: (set, IR) -> total, smallest class, sizes of many/medium/few.
GOLDEN = {
    ("cifar100_lt", 10): (19573, 50, (69, 31, 0)),
    ("cifar100_lt", 50): (12608, 10, (41, 41, 18)),
    ("cifar100_lt", 100): (10847, 5, (35, 35, 30)),
    ("cifar100_lt", 200): (9502, 2, (30, 31, 39)),
    ("cifar10_lt", 10): (20431, 500, (10, 0, 0)),
    ("cifar10_lt", 50): (13996, 100, (9, 1, 0)),
    ("cifar10_lt", 100): (12406, 50, (8, 2, 0)),
}
KINDS = {"cifar10_lt": (10, "labels"), "cifar100_lt": (100, "fine_labels")}
Dump = Callable[[dict[str, object]], bytes]


def _numbered(first: int, n: int) -> NDArray[np.uint8]:
    """Images of 3 bytes, each its own index, so that a selection can be read off the images."""
    return np.arange(first, first + n, dtype=">u4").view(np.uint8).reshape(n, 4)[:, 1:].copy()


def _indices(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    return images.reshape(len(images), 3).astype(np.int64) @ [65536, 256, 1]


def _labels(name: str, n: int, seed: int) -> NDArray[np.int64]:
    n_classes = KINDS[name][0]
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(n_classes), n // n_classes))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both sets with all 50,000 + 10,000 labels in the published layout; images of one pixel instead of 32x32."""
    root = tmp_path_factory.mktemp("cifar")
    for name, folder, train, test in (
        ("cifar10_lt", "cifar-10-batches-py", [f"data_batch_{i}" for i in range(1, 6)], "test_batch"),
        ("cifar100_lt", "cifar-100-python", ["train"], "test"),
    ):
        (root / folder).mkdir()
        labels, n = _labels(name, 50_000, 0), 50_000 // len(train)
        for part, file in enumerate(train):
            some = slice(part * n, (part + 1) * n)
            batch = {"data": _numbered(part * n, n), KINDS[name][1]: labels[some].tolist(), "batch_label": file}
            (root / folder / file).write_bytes(pickle.dumps(batch, protocol=2))
        batch = {"data": _numbered(0, 10_000), KINDS[name][1]: _labels(name, 10_000, 1).tolist()}
        (root / folder / test).write_bytes(pickle.dumps(batch, protocol=2))
    return root


@pytest.fixture(autouse=True)
def _one_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "_SHAPE", (3, 1, 1))


def _load(root: Path, text: str, split: str | None = None, seed: int = 0) -> LongTailData:
    return load_data(parse_data(text), data_root=root, split=split, seed=seed, download=False)


@pytest.mark.parametrize(("name", "ir"), GOLDEN)
def test_counts_and_groups_have_the_published_golden_values(root: Path, name: str, ir: int) -> None:
    data = _load(root, f"{name}:ir={ir}")
    groups = data.groups
    found = (len(data.train), data.counts[-1], (len(groups.many), len(groups.medium), len(groups.few)))
    assert found == GOLDEN[name, ir]
    assert tuple(np.bincount(data.train.labels)) == data.counts
    assert (data.padding, data.flip, data.source.split(",")[0]) == (4, True, "torchvision's folder")


@pytest.mark.parametrize("name", KINDS)
def test_the_selection_is_the_fields_seed_0(root: Path, name: str) -> None:
    data = _load(root, name)

    def _reference_selection() -> list[int]:
        np.random.seed(0)  # noqa: NPY002 - the published script seeds the global generator
        chosen: list[int] = []
        targets = _labels(name, 50_000, 0)
        for class_id, wanted in zip(np.unique(targets), data.counts, strict=True):
            of_class = np.where(targets == class_id)[0]
            np.random.shuffle(of_class)  # noqa: NPY002
            chosen.extend(of_class[:wanted].tolist())
        return chosen

    assert _indices(data.train.images).tolist() == _reference_selection()


def test_the_default_split_is_one_half_of_the_test_set_and_leaves_the_pool_whole(root: Path) -> None:
    data = _load(root, "cifar100_lt")
    assert (data.split, data.selected_on) == ("split_test", "val")
    assert np.bincount(data.val.labels).tolist() == np.bincount(data.test.labels).tolist() == [50] * 100
    halves = set(_indices(data.val.images)) | set(_indices(data.test.images))
    assert halves == set(range(10_000))
    assert _load(root, "cifar100_lt", "paper").selected_on == "test"


@pytest.mark.parametrize(
    ("name", "held", "left", "n_max", "first"),
    [("cifar10_lt", 500, 4500, 5000, "airplane"), ("cifar100_lt", 50, 450, 500, "apple")],
)
def test_a_hold_out_needs_a_smaller_n_max(root: Path, name: str, held: int, left: int, n_max: int, first: str) -> None:
    with pytest.raises(DataError) as caught:
        _load(root, name, "holdout")
    assert caught.value.faults == (
        f"the hold-out takes {held} images of each class and leaves {left} of class 0 ({first}), but n_max={n_max} "
        f"needs {n_max}; choose n_max={left} or less, or --split split_test",
    )
    assert _load(root, f"{name}:n_max={left}", "holdout").counts[0] == left
    assert len(_load(root, f"{name}:n_max={left}", "holdout").val) == 5000
    with pytest.raises(DataError) as caught:
        _load(root, f"{name}:n_max={n_max + 1}", "holdout")
    (fault,) = caught.value.faults
    assert f"n_max of {name} must be at most {left} here, beside {held} held out per class; got {n_max + 1}: " in fault


def test_a_tail_that_many_classes_are_too_small_for_is_one_line(root: Path) -> None:
    with pytest.raises(DataError) as caught:
        _load(root, "cifar100_lt:n_max=600", "split_test")
    (fault,) = caught.value.faults
    n_short = sum(n > 500 for n in class_counts(600, 100, 100.0))
    assert fault == (
        f"n_max of cifar100_lt must be at most 500 here; got 600: {n_short} of 100 classes fall short, the first is "
        "class 0 (apple) with 500 of 600"
    )


def test_the_ir_100_groups_can_be_kept_at_another_ir(root: Path) -> None:
    kept, own = _load(root, "cifar100_lt:ir=10,groups=ir100"), _load(root, "cifar100_lt:ir=10")
    assert kept.groups == _load(root, "cifar100_lt:ir=100").groups
    assert kept.groups != own.groups
    assert kept.counts == own.counts
    assert kept.sha256 == own.sha256


def _python2_dump(batch: dict[str, object]) -> bytes:
    """The opcodes Python 2's cPickle wrote: 8-bit strings, and NumPy's functions under their old module."""
    (rows, key, labels) = batch["data"], *next((k, v) for k, v in batch.items() if k != "data")  # type: ignore[misc]

    def _text(text: str) -> bytes:
        return b"U" + bytes([len(text)]) + text.encode()

    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + _text("b") + b"tR"
        b"(K\x01(" + struct.pack("<BiBi", ord("J"), len(rows), ord("J"), rows.shape[1]) + b"t"
        b"cnumpy\ndtype\n("
        + _text("u1")
        + b"K\x00K\x01tR(K\x03"
        + _text("|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + struct.pack("<i", rows.size) + rows.tobytes() + b"tb"
    )
    numbers = b"](" + b"".join(struct.pack("<Bi", ord("J"), label) for label in labels) + b"e"
    return b"\x80\x02}(" + _text("data") + array + _text(key) + numbers + b"u."


@pytest.mark.parametrize(
    "dump",
    [
        lambda batch: pickle.dumps(batch, protocol=4),
        lambda batch: pickle.dumps(batch, protocol=2),
        lambda batch: pickle.dumps(batch, protocol=0),
        _python2_dump,
    ],
)
def test_batches_written_by_any_python_read_the_same(tmp_path: Path, dump: Dump) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (300, 3), dtype=np.uint8)
    labels = [index % 10 for index in range(300)]
    (tmp_path / "batch").write_bytes(dump({"data": rows, "labels": labels}))
    read = cifar.read_batch(tmp_path / "batch", "labels", 10)
    np.testing.assert_array_equal(read.images.reshape(300, 3), rows)
    assert read.images.shape == (300, 3, 1, 1)
    assert read.labels.tolist() == labels


def test_an_array_stored_column_by_column_is_read_row_by_row(tmp_path: Path) -> None:
    rows = np.arange(12, dtype=np.uint8).reshape(4, 3)
    (tmp_path / "batch").write_bytes(pickle.dumps({"data": np.asfortranarray(rows), "labels": [0] * 4}, protocol=4))
    np.testing.assert_array_equal(cifar.read_batch(tmp_path / "batch", "labels", 10).images.reshape(4, 3), rows)


class _Harm:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return Path.touch, (self.target,)  # type: ignore[return-value]


def test_a_pickle_that_would_run_a_program_is_refused_and_does_not_run_it(tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps({"data": _Harm(tmp_path / "harmed"), "labels": []}))
    with pytest.raises(DataError, match=r"it asks for .*, which no image file needs"):
        cifar.read_batch(tmp_path / "batch", "labels", 10)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", ["eval", "getattr", "__import__"])
def test_not_even_a_builtin_function_is_let_in(tmp_path: Path, name: str) -> None:
    (tmp_path / "batch").write_bytes(f"c{'builtins'}\n{name}\n.".encode())
    with pytest.raises(DataError, match=f"it asks for builtins.{name}"):
        cifar.read_batch(tmp_path / "batch", "labels", 10)


@pytest.mark.parametrize(
    ("batch", "fault"),
    [
        ({"data": np.zeros((2, 3), np.uint8)}, "a dictionary with data and labels"),
        ({"data": np.zeros((2, 4), np.uint8), "labels": [0, 1]}, r"bytes of shape \(2, 3\); got \(2, 4\)"),
        ({"data": np.zeros((2, 3)), "labels": [0, 1]}, "an array of 'f8', not of bytes"),
        ({"data": "text", "labels": [0, 1]}, r"bytes of shape \(2, 3\); got str"),
        ({"data": np.zeros((2, 3), np.uint8), "labels": [0, 10]}, r"labels in 0\.\.9; got 0\.\.10"),
        ({"data": np.zeros((0, 3), np.uint8), "labels": []}, "list of whole numbers under labels"),
        ({"data": np.zeros((2, 3), np.uint8), "labels": [[0], [1, 2]]}, "list of whole numbers under labels"),
        ([1, 2], "must be a CIFAR batch"),
    ],
)
def test_what_is_no_batch_is_refused_with_its_path(tmp_path: Path, batch: object, fault: str) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps(batch, protocol=4))
    with pytest.raises(DataError, match=fault) as caught:
        cifar.read_batch(tmp_path / "batch", "labels", 10)
    assert str(tmp_path / "batch") in str(caught.value)


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    whole = pickle.dumps({"data": np.zeros((2, 3), np.uint8), "labels": [0, 1]}, protocol=4)
    (tmp_path / "batch").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as a CIFAR batch"):
        cifar.read_batch(tmp_path / "batch", "labels", 10)


def test_when_nothing_is_reachable_every_attempt_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = (sys.executable, "-c", "import sys; sys.exit('no route to host')")
    real = cifar.FETCH10
    monkeypatch.setattr(cifar, "FETCH10", Fetcher("the mirror", (command,), real.result, real.target, real.names))
    with pytest.raises(DataUnavailableError) as caught:
        load_data(parse_data("cifar10_lt"), data_root=tmp_path)
    first, folder, mirror, advice = caught.value.faults
    assert first == "cifar10_lt: its files are not available; tried"
    assert folder.endswith("cifar-10-batches-py: no data_batch_1 and 5 more")
    assert mirror.endswith("no route to host")
    assert str(tmp_path / "cifar-10-batches-py") in advice


@pytest.mark.slow  # imports torchvision
def test_the_download_is_torchvisions_and_goes_where_torchvision_looks() -> None:
    from torchvision.datasets import CIFAR10, CIFAR100

    for fetcher, data_set in ((cifar.FETCH10, CIFAR10), (cifar.FETCH100, CIFAR100)):
        assert str(fetcher.target) == data_set.base_folder
        assert set(fetcher.names) == {name for name, _ in data_set.train_list + data_set.test_list}
        assert f"import {data_set.__name__};" in fetcher.commands[0][-1]
