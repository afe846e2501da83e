"""Where Fashion-MNIST's files are looked for, in which order, and what is said when there are none."""

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainables.cckd.data.images.sets import DataUnavailableError
from trainables.cckd.data.load import load_data
from trainables.cckd.data.sources import fashion_mnist
from trainables.cckd.data.sources.fashion_mnist import RAW_FOLDER
from trainables.cckd.data.sources.fetch import Fetcher, _run
from trainables.cckd.data.spec import parse_data
from trainables.cckd.errors import DataError

DEBIAN_FOLDER = fashion_mnist.DEBIAN_FOLDER
Write = Callable[..., None]


@pytest.fixture(autouse=True)
def _no_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep every test off the network and off what this machine has installed."""
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "debian")
    for name in ("TORCHVISION", "DEBIAN"):
        monkeypatch.setattr(
            fashion_mnist, name, _fetcher(f"fetcher {name}", "import sys; sys.exit('no route to host')")
        )


def _fetcher(label: str, code: str, names: tuple[str, ...] = fashion_mnist._PACKED) -> Fetcher:
    return Fetcher(label, ((sys.executable, "-c", code),), Path("files"), RAW_FOLDER, names)


def test_torchvisions_folder_comes_before_debians(tmp_path: Path, write_fashion: Write) -> None:
    write_fashion(tmp_path / "root" / RAW_FOLDER, seed=1)
    write_fashion(tmp_path / "debian", seed=2)
    raw = fashion_mnist.read_fashion_mnist(tmp_path / "root", False, {})
    assert raw.source.startswith("torchvision's folder")
    assert (len(raw.pool), len(raw.test)) == (120, 60)
    assert raw.pool.images.shape == (120, 1, 28, 28)
    assert raw.pool.labels.dtype == np.int64


def test_plain_and_gzipped_files_read_the_same(tmp_path: Path, write_fashion: Write) -> None:
    write_fashion(tmp_path / "root" / RAW_FOLDER, gzipped=False)
    plain = fashion_mnist.read_fashion_mnist(tmp_path / "root", False, {})
    write_fashion(tmp_path / "debian", gzipped=True)
    packed = fashion_mnist.read_fashion_mnist(tmp_path / "elsewhere", False, {})
    assert packed.source.startswith("Debian's")
    np.testing.assert_array_equal(plain.test.images, packed.test.images)


def test_a_folder_with_a_file_missing_is_passed_over(tmp_path: Path, write_fashion: Write) -> None:
    write_fashion(tmp_path / "root" / RAW_FOLDER)
    (tmp_path / "root" / RAW_FOLDER / "t10k-labels-idx1-ubyte.gz").unlink()
    write_fashion(tmp_path / "debian")
    assert fashion_mnist.read_fashion_mnist(tmp_path / "root", False, {}).source.startswith("Debian's")


def test_a_download_is_kept_and_found_the_next_time(
    tmp_path: Path, write_fashion: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_fashion(tmp_path / "server")
    copy = f"import shutil; shutil.copytree({str(tmp_path / 'server')!r}, 'files')"
    monkeypatch.setattr(fashion_mnist, "DEBIAN", _fetcher("the archive", copy))
    root = tmp_path / "root"
    assert fashion_mnist.read_fashion_mnist(root, True, {}).source == f"the archive, kept in {root / RAW_FOLDER}"
    assert fashion_mnist.read_fashion_mnist(root, False, {}).source.startswith("torchvision's folder")
    assert [path.name for path in root.iterdir()] == ["FashionMNIST"]


def test_when_nothing_is_reachable_every_attempt_is_listed_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError) as caught:
        fashion_mnist.read_fashion_mnist(tmp_path / "root", True, {})
    first, torchvision, debian, download, archive, advice = caught.value.faults
    assert "are not available" in first
    assert torchvision.endswith("no train-images-idx3-ubyte and 3 more")
    assert str(tmp_path / "debian") in debian
    assert download == f"fetcher TORCHVISION: {Path(sys.executable).name} ended with status 1: no route to host"
    assert archive.startswith("fetcher DEBIAN")
    assert "install Debian's package dataset-fashion-mnist" in advice
    assert isinstance(caught.value, DataError)


def test_with_downloads_switched_off_no_command_runs_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match="not tried, downloads are switched off"):
        fashion_mnist.read_fashion_mnist(tmp_path / "root", False, {})
    assert not (tmp_path / "root").exists()


def test_a_download_that_brings_too_little_leaves_nothing_behind(tmp_path: Path) -> None:
    half = _fetcher(
        "half", "import pathlib; pathlib.Path('files').mkdir(); pathlib.Path('files/a').touch()", ("a", "b")
    )
    with pytest.raises(OSError, match="brought no b"):
        half.fetch(tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []


def test_a_missing_program_is_an_attempt_that_failed_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no-such-program"):
        Fetcher("x", (("no-such-program",),), Path(), Path(), ()).fetch(tmp_path)


def test_a_download_that_hangs_is_ended_with_its_helpers(tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    with pytest.raises(OSError, match=r"took longer than 0\.3 s"):
        _run(("sh", "-c", f"(sleep 1; touch {mark}) & wait"), tmp_path, limit_s=0.3)
    subprocess.run(["sleep", "1.2"], check=True)
    assert not mark.exists()


def test_labels_beyond_the_classes_are_refused(
    tmp_path: Path, write_fashion: Write, idx_bytes: Callable[..., bytes]
) -> None:
    folder = tmp_path / "debian"
    write_fashion(folder, gzipped=False)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.full(120, 10, np.uint8)))
    with pytest.raises(DataError, match=r"a label in 0\.\.9.*up to 10"):
        fashion_mnist.read_fashion_mnist(tmp_path / "root", False, {})


def test_the_fields_size_is_cut_after_a_hold_out_of_100_a_class(tmp_path: Path) -> None:
    folder = tmp_path / "debian"
    folder.mkdir()
    for part, n in (("train", 60_000), ("t10k", 10_000)):
        with (folder / f"{part}-images-idx3-ubyte").open("wb") as images:  # a sparse file: zeros that take no room
            images.write(struct.pack(">4B3I", 0, 0, 8, 3, n, 28, 28))
            images.truncate(16 + n * 784)
        labels = np.tile(np.arange(10, dtype=np.uint8), n // 10)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, n) + labels.tobytes())
    data = load_data(parse_data("fashion_mnist_lt:n_max=5900,ir=100"), data_root=tmp_path, download=False)
    assert (data.counts[0], data.counts[-1], len(data.val), len(data.test)) == (5900, 59, 1000, 10_000)
    small = load_data(parse_data("fashion_mnist_lt:n_max=500,ir=100"), data_root=tmp_path, download=False)
    assert sum(small.counts) == 1236
    with pytest.raises(
        DataError, match=r"leaves 5900 of class 0 \(T-shirt/top\), but n_max=6000 needs 6000; choose n_max=5900 or less"
    ):
        load_data(parse_data("fashion_mnist_lt:n_max=6000,ir=100"), data_root=tmp_path, download=False)


@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason=f"Debian's dataset-fashion-mnist is not in {DEBIAN_FOLDER}")
def test_debians_package_gives_the_default_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", DEBIAN_FOLDER)
    data = load_data(parse_data("fashion_mnist_lt"), data_root=tmp_path, download=False)
    assert (len(data.train), len(data.val), len(data.test)) == (556, 1000, 10000)
    assert data.counts == (200, 129, 83, 54, 35, 22, 14, 9, 6, 4)
