"""The small images of a study: made once, shared by studies, named where an original is at fault. Tasks run in here."""

import errno
import io
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from study.execution.tasks import TaskDied
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.cores import Cores
from study.planning.parser import build_parser
from study.planning.preview.estimate import store_lines
from study.planning.tail_subsets import recut
from study.teacher import bundle, small_images
from study.teacher.bundle import damaged_images, decode_images
from study.teacher.small_images import claim_store, make_small_images, stored_images
from study.teacher.worker_tasks import make_small
from study.terminal.progress import Progress
from tests.support.damaged_images import encoded, zeroed
from trainables.cckd.data.images.decode import read_image
from trainables.cckd.data.images.image_files import StoredFiles
from trainables.cckd.data.store import image_store
from trainables.cckd.errors import DamagedImageError, DataError
from trainables.cckd.teacher.cache.cache_lock import CacheLock

N_TRAIN, N_HELD = 20, 4


class Tasks:
    """Runs tasks in this process, when their results are asked for, the latest first."""

    def __init__(self) -> None:
        self.most_in_flight = self.n_made = 0
        self.before: Callable[[Any], object] = lambda files: None
        self._n_in_flight = 0

    def start(self, task: Any, *arguments: Any) -> Any:
        self._n_in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._n_in_flight)
        return _Reference(task, arguments)

    def wait(self, references: list[Any], timeout: float) -> list[Any]:
        return references[-1:]

    def get(self, reference: "_Reference") -> Any:
        self._n_in_flight -= 1
        if reference.task is make_small:
            self.before(reference.arguments[1])
            self.n_made += len(reference.arguments[1])
        return reference.task(*reference.arguments)


class _Reference:
    def __init__(self, task: Any, arguments: tuple[Any, ...]) -> None:
        self.task, self.arguments = task, arguments


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> Tasks:
    played = Tasks()
    monkeypatch.setattr(small_images, "_CHUNK", 3)
    monkeypatch.setattr("study.planning.cores.allotted_cores", lambda: Cores(2, ""))
    for module in (small_images, bundle):
        monkeypatch.setattr(module, "start_beside_driver", played.start)
        monkeypatch.setattr(module, "get", played.get)
    monkeypatch.setattr(small_images, "start_once", played.start)
    monkeypatch.setattr(small_images, "wait_for_one", played.wait)
    return played


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes of JPEG files of 60 x 80 pixels and more; the first of each class is no larger than 32 x 80."""
    for part, n in (("train", N_TRAIN // 2), ("val", N_HELD // 2), ("test", N_HELD // 2)):
        for label, name in enumerate(("ant", "bee")):
            (tmp_path / "images" / part / name).mkdir(parents=True)
            for index in range(n):
                content = encoded("jpeg", 60 + index if index else 32, 80, seed=100 * label + index + len(part))
                (tmp_path / "images" / part / name / f"{index}.jpg").write_bytes(content)
    return tmp_path / "images"


def _check(images: Path, *flags: str, data_path: str = "streamed") -> Checked:
    asked = ["--data", f"image_folder:path={images},size=16", "--set", "batch_size=8", "--data-path", data_path]
    asked += ["--data-root", str(images.parent / "data"), "--out", str(images.parent / "out"), "--teacher-size", "32"]
    return check(build_parser().parse_args(["--space", "acckd_smoke", *asked, *flags]))


@pytest.fixture
def checked(images: Path) -> Checked:
    return _check(images, "--image-store", "32")


def _told() -> tuple[io.StringIO, Progress]:
    stream = io.StringIO()
    return stream, Progress(stream)


def _files(checked: Checked) -> dict[str, bytes]:
    assert checked.image_store is not None
    return {path.name: path.read_bytes() for path in checked.image_store.folder.rglob("*.jpg")}


def test_every_larger_image_is_made_once_and_later_studies_find_it(checked, images: Path, tasks: Tasks) -> None:
    told, progress = _told()
    assert make_small_images(checked, progress) == {}
    n_larger = N_TRAIN + 2 * N_HELD - 6
    assert (tasks.n_made, len(_files(checked)), tasks.most_in_flight) == (n_larger, n_larger, 2)
    assert f"{n_larger}/{n_larger}  small images, 0 s left" in told.getvalue()
    before = _files(checked)
    other = _check(images, "--image-store", "32", "--seed", "7")
    assert make_small_images(other, progress) == {}
    assert (tasks.n_made, _files(other)) == (n_larger, before)


def test_every_core_builds_whatever_a_trial_takes(images: Path, tasks: Tasks, monkeypatch) -> None:
    checked = _check(images, "--image-store", "32", "--cpus-per-trial", "2")
    monkeypatch.setattr("study.planning.cores.allotted_cores", lambda: Cores(4, ""))
    assert " on 4 cores here; " in store_lines(checked)[-1]
    make_small_images(checked, _told()[1])
    assert tasks.most_in_flight == 4


def test_a_single_image_is_told_as_one(checked: Checked, tasks: Tasks) -> None:
    make_small_images(checked, _told()[1])
    next(iter(checked.image_store.folder.rglob("*.jpg"))).unlink()
    told, progress = _told()
    make_small_images(checked, progress)
    assert "making 1 small image in " in " ".join(told.getvalue().split())


def test_teacher_and_students_read_the_same_small_images_by_a_key_of_their_own(checked, images, tasks: Tasks) -> None:
    _, progress = _told()
    small = stored_images(checked, progress)
    for name in ("train", "val", "test"):
        files = getattr(small.data, name)
        assert isinstance(files, StoredFiles)
        assert (files.sizes.min(axis=1) == 32).all()
        assert read_image(files, 1).shape == (*files.sizes[1], 3)
    assert small.data_path.name == "streamed"
    assert small.image_store == checked.image_store
    assert decode_images(small) is small
    originals, other_size = _check(images, "--image-store", "none"), _check(images, "--image-store", "40")
    for subset in ("train", "val"):
        keys = {one.sha256_of(subset) for one in (originals, checked, small, other_size)}
        assert len(keys) == 3, "the store has one key before and behind the swap, the originals and another size others"
    assert small.data.sha256 == originals.data.sha256, "the study is of the same data"


def test_a_study_without_a_store_is_left_as_it_is(images: Path, tasks: Tasks) -> None:
    for checked in (_check(images, "--image-store", "0"), _check(images, data_path="resident")):
        assert stored_images(checked, _told()[1]) is checked
        with claim_store(checked):
            pass
    assert not (images.parent / "data" / "image-store").exists()


def test_a_damaged_small_image_is_made_again(checked: Checked, tasks: Tasks) -> None:
    _, progress = _told()
    make_small_images(checked, progress)
    before, tasks.n_made = _files(checked), 0
    store = checked.image_store
    assert store is not None
    path = store.folder / store.stored(checked.data.val).paths[1]
    path.write_bytes(zeroed(path.read_bytes(), 400, 500))
    assert make_small_images(checked, progress) == {}
    assert (tasks.n_made, _files(checked)) == (1, before)


def test_damaged_originals_are_named_and_all_others_made(checked: Checked, images: Path, tasks: Tasks) -> None:
    (images / "train/bee/7.jpg").write_bytes(b"torn")  # a larger one, and one that stays in its file
    (images / "test/ant/0.jpg").unlink()
    _, progress = _told()
    found = damaged_images(checked, progress)
    assert {path: str(error) for path, error in found.items()} == {
        "train/bee/7.jpg": f"{images}/train/bee/7.jpg cannot be read as an image: not a JPEG, PNG or WebP image",
        "test/ant/0.jpg": f"{images}/test/ant/0.jpg cannot be read as an image: missing",
    }
    assert len(_files(checked)) == N_TRAIN + 2 * N_HELD - 7
    with pytest.raises(DamagedImageError, match=r"train/bee/7\.jpg cannot be read"):
        stored_images(checked, progress)


def test_a_file_that_ends_its_process_is_named_and_its_neighbours_are_made(checked, images, tasks: Tasks) -> None:
    victim = "train/ant/4.jpg"
    (images / victim).write_bytes(b"ends the decoder")

    def before(files: Any) -> None:
        if victim in files.paths:
            raise TaskDied("it is gone")

    tasks.before = before
    told, progress = _told()
    found = make_small_images(checked, progress)
    assert set(found) == {victim}
    n_made = N_TRAIN + 2 * N_HELD - 7
    assert len(_files(checked)) == n_made
    assert f"{n_made + 1}/{n_made + 1}  small images, 0 s left" in told.getvalue()


def test_a_process_that_ends_without_a_culprit_ends_the_study(checked: Checked, tasks: Tasks) -> None:
    def before(files: Any) -> None:
        raise TaskDied("killed from outside")

    tasks.before = before
    with pytest.raises(DataError, match=r"a process that makes small images has ended, .*: killed from outside"):
        make_small_images(checked, _told()[1])


def test_a_disk_with_too_little_room_is_told_before_it_is_full(checked, tasks: Tasks, monkeypatch) -> None:
    monkeypatch.setattr(image_store.shutil, "disk_usage", lambda path: SimpleNamespace(free=20_000))
    with pytest.raises(DataError) as caught:
        make_small_images(checked, _told()[1])
    (line,) = caught.value.faults
    assert line.startswith(f"the image store {checked.image_store.folder} needs ")
    assert line.endswith("GB free; make room there and go on, or begin a study with --image-store none")
    assert tasks.n_made < 10


@pytest.mark.parametrize("large", ["ant", "bee"])
def test_room_is_judged_from_all_classes_though_images_are_sorted_by_class(
    images: Path, tasks: Tasks, monkeypatch: pytest.MonkeyPatch, large: str
) -> None:
    for path in images.rglob("*.jpg"):
        if path.parent.name != large:
            Image.new("RGB", (80, 60)).save(path)
    monkeypatch.setattr(small_images, "_CHUNK", 4)
    checked = _check(images, "--image-store", "32")
    make_small_images(checked, _told()[1])
    store = checked.image_store
    assert store is not None
    needed = sum(map(len, _files(checked).values()))

    def disk(size: float) -> None:
        for path in store.folder.rglob("*.jpg"):
            path.unlink()
        tasks.n_made = 0

        def usage(path: Path) -> SimpleNamespace:
            return SimpleNamespace(free=int(size) - sum(map(len, _files(checked).values())))

        monkeypatch.setattr(image_store.shutil, "disk_usage", usage)

    disk(1.3 * needed)
    assert make_small_images(checked, _told()[1]) == {}
    disk(0.7 * needed)
    with pytest.raises(DataError, match="make room there and go on"):
        make_small_images(checked, _told()[1])
    assert tasks.n_made < N_TRAIN // 2


@pytest.mark.parametrize("at_work", [claim_store, lambda checked: make_small_images(checked, _told()[1])])
def test_a_folder_of_another_user_is_named(checked: Checked, tasks: Tasks, monkeypatch, at_work) -> None:
    def refuse(path: Path, *_: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("trainables.cckd.teacher.cache.cache_lock.os.open", refuse)
    with pytest.raises(
        DataError, match=r"^the image store .*/32px-1 cannot be written: Permission denied, at .*; mend"
    ):
        at_work(checked)


def test_two_studies_do_not_make_the_same_images(checked: Checked, images: Path, tasks: Tasks) -> None:
    store = checked.image_store
    assert store is not None
    other = CacheLock(store.folder.with_name(f"{store.folder.name}.build"))
    assert other.try_take()
    told, progress = _told()
    waiting = Thread(target=make_small_images, args=(checked, progress), daemon=True)
    waiting.start()
    limit = monotonic() + 60
    while "another study adds images" not in " ".join(told.getvalue().split()):
        assert waiting.is_alive(), told.getvalue()
        assert monotonic() < limit, told.getvalue()
        sleep(0.01)
    for row in range(1, 5):  # what the other study makes meanwhile
        store.make(checked.data.train, row)
    other.release()
    waiting.join(60)
    assert not waiting.is_alive(), told.getvalue()
    assert tasks.n_made == N_TRAIN + 2 * N_HELD - 6 - 4


def test_other_cuts_share_the_store_with_the_studys_own(images: Path, tasks: Tasks) -> None:
    checked = _check(images, "--image-store", "32", "--data-seeds", "2", "--data", _cut(images))
    _, progress = _told()
    own = stored_images(checked, progress)
    known, tasks.n_made = set(own.data.train.paths), 0
    other = recut(own, 1)
    assert (other.image_store, other.data_path.name) == (own.image_store, "streamed")
    again = stored_images(other, progress)
    assert isinstance(again.data.train, StoredFiles)
    assert again.data.val is own.data.val
    new = [path for path in again.data.train.paths if path not in known and not Path(path).is_absolute()]
    assert tasks.n_made == len(new) > 0
    assert again.sha256_of("val") == own.sha256_of("val")
    np.testing.assert_array_equal(again.data.train.labels, other.data.train.labels)


def _cut(images: Path) -> str:
    return f"image_folder:path={images},size=16,n_max=8,ir=2"
