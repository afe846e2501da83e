"""`python -m study.cache`: what it shows, finds and removes."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from study.cache import main
from tests.support.damaged_images import encoded
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.scan import scan
from trainables.cckd.data.store.image_store import ImageStore
from trainables.cckd.teacher.cache import fit_files
from trainables.cckd.teacher.cache.cache_lock import CacheLock
from trainables.cckd.teacher.cache.feature_cache import FeatureCache, FeatureKey, library_versions
from trainables.cckd.teacher.fit.fit_steps import StepFolder
from trainables.cckd.teacher.fit.softmax_regression import Affine

FEATURES = np.ones((6, 2, 3), np.float16)
KEY = FeatureKey("stub", "aa", 96, "bb", "train", "cc", FEATURES.shape, library_versions())


def _build(root: Path, key: FeatureKey = KEY, *, finish: bool = True) -> Path:
    cache = FeatureCache(root / "teacher-cache", key, part_size=4)
    for number, (start, end) in enumerate(cache.ranges):
        if finish or number == 0:
            cache.write_part(number, FEATURES[start:end])
    if finish:
        cache.finish()
    return cache.folder


def _run(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main([*words, "--data-root", str(root)])
    return code, capsys.readouterr().out


def test_the_list_tells_finished_from_unfinished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _build(tmp_path)
    _build(tmp_path, replace(KEY, subset="val"), finish=False)
    code, shown = _run(tmp_path, capsys, "list")
    assert code == 0
    assert "stub 96 px, train 6 x 2 x 3" in shown
    assert "val 6 x 2 x 3, data bb, unfinished (1 parts)" in shown


def test_the_list_names_features_that_are_not_the_final_ones(tmp_path: Path, capsys) -> None:
    _build(tmp_path)
    _build(tmp_path, replace(KEY, features="stages"))
    _, shown = _run(tmp_path, capsys, "list")
    assert "stub 96 px, train 6 x 2 x 3" in shown
    assert "stub 96 px, stages, train 6 x 2 x 3" in shown
    assert _run(tmp_path, capsys, "verify")[0] == 0


def test_an_empty_cache_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(tmp_path, capsys, "list")[0] == _run(tmp_path, capsys, "verify")[0] == 0


@pytest.mark.parametrize("command", ["list", "verify", "prune"])
@pytest.mark.parametrize("made", ["gone", "file", ""])
def test_a_data_root_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, made: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    assert main([command, "--data-root", made]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"error: --data-root must be a folder that exists; got {made!r}\n")
    assert main([command]) == 2, "there is no folder data here"


def test_verify_finds_one_flipped_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _build(tmp_path) / "features.safetensors"
    assert _run(tmp_path, capsys, "verify")[0] == 0
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    code, shown = _run(tmp_path, capsys, "verify")
    assert code == 1
    assert "its SHA-256 is not the one written beside it" in shown


def test_prune_removes_the_useless_and_keeps_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = _build(tmp_path)
    unfinished = _build(tmp_path, replace(KEY, subset="val"), finish=False)
    old = _build(tmp_path, replace(KEY, versions={"torch": "0", "timm": "0"}))
    damaged = _build(tmp_path, replace(KEY, size=64))
    (damaged / "features.safetensors").write_bytes(b"")
    foreign = tmp_path / "teacher-cache" / "notes"
    foreign.mkdir()
    assert _run(tmp_path, capsys, "prune")[0] == 0
    assert [path.exists() for path in (good, unfinished, old, damaged, foreign)] == [True, True, False, False, True]
    _run(tmp_path, capsys, "prune", "--unfinished")
    assert [path.exists() for path in (good, unfinished)] == [True, False]
    _run(tmp_path, capsys, "prune", "--all")
    assert not good.exists()
    assert foreign.exists()


def test_prune_keeps_what_a_study_uses_and_leaves_no_lock_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    used, free = _build(tmp_path), _build(tmp_path, replace(KEY, subset="val"))
    building = FeatureCache(tmp_path / "teacher-cache", replace(KEY, size=64))
    _build(tmp_path, replace(KEY, size=64), finish=False)
    reader, builder = CacheLock(used), building.lock()
    reader.share(lambda: None)
    assert builder.try_take()
    code, shown = _run(tmp_path, capsys, "prune", "--all")
    assert code == 0
    assert [path.exists() for path in (used, building.folder, free)] == [True, True, False]
    assert f"{used.name[:12]}  kept, a study uses it: asked for" in shown
    reader.release()
    builder.release()
    assert _run(tmp_path, capsys, "prune", "--all")[0] == 0
    assert list((tmp_path / "teacher-cache").iterdir()) == []


def test_prune_removes_what_a_killed_driver_was_writing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _build(tmp_path)
    torn = folder / ".features.safetensors.123.abcd.tmp"
    torn.write_bytes(bytes(200_000))
    with CacheLock(folder) as claim:
        claim.share(lambda: None)
        assert "0.0 MB freed" in _run(tmp_path, capsys, "prune")[1]
        assert torn.exists()
    assert "0.2 MB freed" in _run(tmp_path, capsys, "prune")[1]
    assert not torn.exists()
    assert _run(tmp_path, capsys, "verify")[0] == 0


def test_prune_removes_fits_of_other_versions_and_asked_for_unfinished_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _build(tmp_path)
    step = Affine.zero(2, 3), 7
    with monkeypatch.context() as patch:
        patch.setattr(fit_files, "FIT_RECIPE", 0)
        StepFolder(folder / "fits" / "old.steps").write("strength 1", step)
    StepFolder(folder / "fits" / "killed.steps").write("strength 1", step)
    (folder / "fits" / "killed.steps" / ".strength-3.safetensors.1.ab.tmp").write_bytes(bytes(100_000))
    (folder / "fits" / "old.safetensors").write_bytes(bytes(200_000))
    (folder / "fits" / "foreign").write_text("stays")
    with CacheLock(folder) as claim:
        claim.share(lambda: None)
        assert "0.0 MB freed" in _run(tmp_path, capsys, "prune", "--unfinished")[1]
        assert len(list((folder / "fits").iterdir())) == 4
    assert "0.3 MB freed" in _run(tmp_path, capsys, "prune")[1]
    assert [path.name for path in sorted((folder / "fits").rglob("*"))] == [
        "foreign", "killed.steps", "strength-1.safetensors"
    ]  # fmt: skip
    assert _run(tmp_path, capsys, "prune", "--unfinished")[0] == 0
    assert [path.name for path in (folder / "fits").iterdir()] == ["foreign"]
    assert _run(tmp_path, capsys, "verify")[0] == 0


def _refused(*_: object) -> None:
    raise PermissionError(13, "Permission denied", "/data/of/another/user")


@pytest.mark.parametrize("what", ["shutil.rmtree", "CacheLock.try_take", "CacheLock.remove_file"])
def test_prune_keeps_what_another_user_has_made_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Root may remove everything, so the system's answer is played."""
    folder = _build(tmp_path)
    (tmp_path / "image-store" / "32px-999" / "ab").mkdir(parents=True)
    with monkeypatch.context() as patch:
        for module in ("study.cache", "trainables.cckd.teacher.cache.inventory"):
            patch.setattr(f"{module}.{what}", _refused)
        code, shown = _run(tmp_path, capsys, "prune", "--all")
    assert (code, shown.splitlines()) == (
        0,
        ["32px-999      kept: Permission denied", f"{folder.name[:12]}  kept: Permission denied", "0.0 MB freed"],
    )


def test_prune_keeps_another_users_leftovers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _build(tmp_path)
    (folder / ".features.safetensors.123.abcd.tmp").write_bytes(bytes(200_000))
    monkeypatch.setattr(CacheLock, "try_take", _refused)
    assert _run(tmp_path, capsys, "prune") == (0, f"{folder.name[:12]}  kept: Permission denied\n0.0 MB freed\n")


def test_it_says_what_it_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["clean"])
    assert stopped.value.code == 2
    assert "list" in capsys.readouterr().err


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    """A store of three small images under the data root."""
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(encoded("jpeg", seed=number))
    files = scan({"all": ImageFiles.listed(tmp_path, ["0.jpg", "1.jpg", "2.jpg"], [0] * 3)}).sets["all"]
    store = ImageStore(tmp_path / "image-store", 32)
    for row in range(3):
        store.make(files, row)
    return store


def test_stores_of_small_images_are_listed_verified_and_removed_when_asked_for(store, tmp_path: Path, capsys) -> None:
    root = ["--data-root", str(tmp_path)]
    (tmp_path / "image-store" / "32px-999" / "ab").mkdir(parents=True)
    assert main(["list", *root]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^32px-1 +0\.0 MB  3 small images$", shown, re.MULTILINE)
    assert "0 small images, of another version" in shown
    assert main(["verify", *root]) == 0
    victim = next(store.folder.rglob("*.jpg"))
    victim.write_bytes(victim.read_bytes()[:-1])
    assert main(["verify", *root]) == 1
    assert "32px-1        BAD: 1 of 3 files are damaged" in capsys.readouterr().out
    assert main(["prune", *root]) == 0
    assert store.folder.exists(), "a study makes what is damaged again"
    assert "32px-999      removed: of another version" in capsys.readouterr().out
    with CacheLock(store.folder) as claim:
        claim.share(lambda: None)
        assert main(["prune", "--all", *root]) == 0
        assert "32px-1        kept, a study uses it: asked for" in capsys.readouterr().out
    assert main(["prune", "--all", *root]) == 0
    assert not store.folder.exists()
