"""The feature cache: found by content, resumed part by part, never trusted when it does not verify."""

import multiprocessing
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from trainables.cckd.errors import TeacherError
from trainables.cckd.files.digests import hash_array, json_digest
from trainables.cckd.teacher.cache.feature_cache import FeatureCache, FeatureKey, library_versions, part_ranges

FEATURES = np.random.default_rng(0).normal(size=(10, 2, 3)).astype(np.float16)
KEY = FeatureKey(
    teacher="stub",
    teacher_sha256="aa",
    size=96,
    data_sha256="bb",
    subset="train",
    views_sha256="cc",
    shape=FEATURES.shape,
    versions={"torch": "2", "timm": "1"},
)


def _build(cache: FeatureCache, parts: tuple[int, ...] | None = None) -> None:
    for number in cache.missing_parts() if parts is None else parts:
        start, end = cache.ranges[number]
        cache.write_part(number, FEATURES[start:end])


def _finished(root: Path) -> FeatureCache:
    cache = FeatureCache(root, KEY, part_size=4)
    _build(cache)
    cache.finish()
    return cache


def test_other_features_of_a_backbone_are_another_cache_and_final_ones_are_found_where_they_were() -> None:
    assert len({replace(KEY, features=kind).digest for kind in ("final", "stages", "both")}) == 3
    before = {name: value for name, value in asdict(KEY).items() if name != "features"}
    assert KEY.digest == json_digest(before, spaced=True), "a version without the choice named them so"


def test_what_is_built_in_parts_reads_back_whole(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, KEY, part_size=4)
    assert cache.missing_parts() == (0, 1, 2)
    _build(cache)
    np.testing.assert_array_equal(cache.finish(), FEATURES)
    assert cache.complete
    assert cache.missing_parts() == ()
    np.testing.assert_array_equal(FeatureCache(tmp_path, KEY).load(), FEATURES)
    assert sorted(path.name for path in cache.folder.iterdir()) == ["features.safetensors", "meta.json"]


def test_a_killed_build_goes_on_at_the_missing_parts(tmp_path: Path) -> None:
    _build(FeatureCache(tmp_path, KEY, part_size=4), (0, 2))
    again = FeatureCache(tmp_path, KEY, part_size=4)
    assert again.missing_parts() == (1,)
    with pytest.raises(TeacherError, match="1 of 3 parts are missing"):
        again.finish()
    _build(again)
    np.testing.assert_array_equal(again.finish(), FEATURES)


@pytest.mark.parametrize("tear", [lambda b: b[:-3], lambda b: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_a_torn_or_flipped_part_is_computed_again(tmp_path: Path, tear: Any) -> None:
    cache = FeatureCache(tmp_path, KEY, part_size=4)
    _build(cache)
    part = sorted((cache.folder / "parts").iterdir())[1]
    part.write_bytes(tear(part.read_bytes()))
    assert len(cache.missing_parts()) == 1
    _build(cache)
    np.testing.assert_array_equal(cache.finish(), FEATURES)


def test_parts_of_another_part_size_are_never_mixed_in(tmp_path: Path) -> None:
    _build(FeatureCache(tmp_path, KEY, part_size=6))  # 0-6, 6-10: the second is as long as 4-8 below
    other = FeatureCache(tmp_path, KEY, part_size=4)
    assert other.missing_parts() == (0, 1, 2)
    _build(other)
    np.testing.assert_array_equal(other.finish(), FEATURES)


def test_a_kill_between_the_file_and_its_mark_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables.cckd.teacher.cache import feature_cache as module

    cache = FeatureCache(tmp_path, KEY, part_size=4)
    _build(cache)

    def _killed(path: Path, content: object) -> None:
        assert path.name == "meta.json"
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_json", _killed)
        with pytest.raises(KeyboardInterrupt):
            cache.finish()
    assert not cache.complete
    assert cache.missing_parts() == ()
    np.testing.assert_array_equal(cache.finish(), FEATURES)


MANY = np.random.default_rng(1).normal(size=(24, 2, 3)).astype(np.float16)


def _build_many(root: Path, may_write: Callable[[], object] = lambda: None) -> None:
    cache = FeatureCache(root, replace(KEY, shape=MANY.shape), part_size=1)
    for number in cache.missing_parts():
        may_write()
        cache.write_part(number, MANY[number : number + 1])
    cache.finish()


def test_ten_kills_at_random_leave_the_same_bytes_as_an_undisturbed_build(tmp_path: Path) -> None:
    _build_many(tmp_path / "whole")
    rng, fork = np.random.default_rng(), multiprocessing.get_context("fork")
    folders = [FeatureCache(tmp_path / name, replace(KEY, shape=MANY.shape)).folder for name in ("whole", "killed")]
    for n_kills in range(10):  # a builder may write two parts and is killed after one of them: ten never finish 24
        allowed = fork.Semaphore(2)
        builder = fork.Process(target=_build_many, args=(tmp_path / "killed", allowed.acquire))
        builder.start()
        limit = time.monotonic() + 30
        while len(list(folders[1].glob("parts/*.safetensors"))) <= n_kills and time.monotonic() < limit:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.003))
        builder.kill()
        builder.join()
    assert not (folders[1] / "meta.json").exists()
    assert len(list(folders[1].glob("parts/*.safetensors"))) >= 10
    _build_many(tmp_path / "killed")
    for name in ("features.safetensors", "meta.json"):
        whole, killed = ((folder / name).read_bytes() for folder in folders)
        assert whole == killed


def test_the_merged_file_is_what_safetensors_itself_reads(tmp_path: Path) -> None:
    folder = _finished(tmp_path).folder
    np.testing.assert_array_equal(load_file(folder / "features.safetensors")["features"], FEATURES)


def test_loaded_features_are_mapped_not_read(tmp_path: Path) -> None:
    features = _finished(tmp_path).load()
    assert isinstance(features, np.memmap)
    assert not features.flags.writeable


def test_a_sample_computed_again_must_be_what_is_kept(tmp_path: Path) -> None:
    cache = _finished(tmp_path)
    images, views = cache.sample()
    assert len(set(images.tolist())) == 8
    again = FEATURES[images, views]
    cache.compare(cache.load(), again)
    cache.compare(cache.load(), (again.astype(np.float32) * 1.001).astype(np.float16))  # another processor
    again[3] = FEATURES[images[3], 1 - views[3]]  # another view
    with pytest.raises(TeacherError, match="1 of 8 views computed again came out otherwise"):
        cache.compare(cache.load(), again)


def test_nan_in_a_sample_is_a_difference(tmp_path: Path) -> None:
    cache = _finished(tmp_path)
    images, views = cache.sample()
    again = FEATURES[images, views]
    again[0, 0] = np.nan
    with pytest.raises(TeacherError, match="came out otherwise"):
        cache.compare(cache.load(), again)


def test_finishing_twice_is_harmless(tmp_path: Path) -> None:
    np.testing.assert_array_equal(_finished(tmp_path).finish(), FEATURES)


@pytest.mark.parametrize("name", ["features.safetensors", "meta.json"])
@pytest.mark.parametrize("spoil", ["torn", "flipped"])
def test_a_spoiled_cache_is_refused_naming_the_folder_to_remove(tmp_path: Path, name: str, spoil: str) -> None:
    cache = _finished(tmp_path)
    content = (cache.folder / name).read_bytes()
    middle = content.index(b'"sha256": "') + 12 if name == "meta.json" else len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    (cache.folder / name).write_bytes(content[:-5] if spoil == "torn" else flipped)
    with pytest.raises(TeacherError, match="cannot be used") as caught:
        cache.load()
    assert f"remove the folder {cache.folder}" in str(caught.value)


def test_a_cache_whose_file_is_gone_is_refused(tmp_path: Path) -> None:
    cache = _finished(tmp_path)
    (cache.folder / "features.safetensors").unlink()
    with pytest.raises(TeacherError, match="cannot be used"):
        cache.load()


@pytest.mark.parametrize(
    "change",
    [
        {"teacher": "other"},
        {"teacher_sha256": "other"},
        {"size": 64},
        {"data_sha256": "other"},
        {"subset": "val"},
        {"views_sha256": None},
        {"shape": (10, 2, 4)},
        {"versions": {"torch": "3", "timm": "1"}},
        {"dtype": "float32"},
        {"recipe": 99},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_ingredient_changes_the_key(change: dict[str, Any]) -> None:
    assert replace(KEY, **change).digest != KEY.digest


def test_the_key_does_not_depend_on_the_order_of_the_versions() -> None:
    assert replace(KEY, versions={"timm": "1", "torch": "2"}).digest == KEY.digest


def test_a_part_of_another_shape_is_our_own_mistake(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        FeatureCache(tmp_path, KEY, part_size=4).write_part(2, FEATURES[:4])


@given(st.integers(1, 500), st.integers(1, 200))
def test_part_ranges_cover_everything_once_in_order(n_total: int, part_size: int) -> None:
    covered = [i for start, end in part_ranges(n_total, part_size) for i in range(start, end)]
    assert covered == list(range(n_total))
    assert all(0 < end - start <= part_size for start, end in part_ranges(n_total, part_size))


def test_hash_array_sees_values_shape_and_dtype() -> None:
    zeros = np.zeros((2, 3), np.int16)
    others = [zeros + np.int16(1), zeros.reshape(3, 2), zeros.astype(np.uint16)]
    assert len({hash_array(array) for array in [zeros, *others]}) == 4
    assert hash_array(zeros.T.copy().T) == hash_array(zeros)  # values, not memory layout


def test_versions_are_those_of_the_installed_libraries() -> None:
    import timm
    import torch

    found = library_versions()
    assert found["timm"] == timm.__version__
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_a_cache_may_cross_process_borders(tmp_path: Path) -> None:
    copy = pickle.loads(pickle.dumps(FeatureCache(tmp_path, KEY, part_size=4)))
    assert copy.ranges == ((0, 4), (4, 8), (8, 10))
