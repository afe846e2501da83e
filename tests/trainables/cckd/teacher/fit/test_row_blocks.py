"""Fitting block by block: the same teacher as from one block, within memory that does not grow with the set."""

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from trainables.cckd.teacher.fit import row_blocks as module
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher, fit_teacher
from trainables.cckd.teacher.fit.ncm import best_scale
from trainables.cckd.teacher.fit.prior import fixed_point_log_prior, teacher_log_prior
from trainables.cckd.teacher.fit.row_blocks import (
    ReadoutLogits,
    StandardRows,
    blocks,
    feature_statistics,
    image_blocks,
    in_threads,
    rows_per_image,
)
from trainables.cckd.teacher.readout import Readout
from trainables.cckd.teacher.spec import TeacherSpec

N_CLASSES, N_VIEWS, N_FEATURES = 3, 4, 32


def _world(counts: tuple[int, ...], seed: int) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Raw features far from 0 and 1, (N, V, D), of classes that overlap."""
    centres = np.random.default_rng(9).normal(size=(N_CLASSES, 1, N_FEATURES))
    labels = np.repeat(np.arange(N_CLASSES), counts)
    noise = np.random.default_rng(seed).normal(size=(len(labels), N_VIEWS, N_FEATURES))
    return (20 + 2 * (centres[labels] + 2 * noise)).astype(np.float16), labels


TRAIN, VAL = _world((60, 30, 10), 0), _world((20, 20, 20), 1)


def _fit(train: tuple[NDArray[np.float16], NDArray[np.int64]] = TRAIN, **options: Any) -> FittedTeacher:
    return fit_teacher(TeacherSpec(**options), *train, VAL[0][:, 0], VAL[1], n_classes=N_CLASSES)


def _shrink(monkeypatch: pytest.MonkeyPatch, *, block: int, keep: int = 0) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", block)
    monkeypatch.setattr(module, "KEEP_BYTES", keep)


def test_blocks_cover_every_row_once_and_never_exceed_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 100)
    assert list(blocks(7, 30)) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert list(blocks(2, 1000)) == [slice(0, 1), slice(1, 2)]
    assert list(blocks(0, 30)) == []


def test_an_image_of_a_large_set_is_one_row_whatever_its_views(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PRODUCTS", 5 * 4 * 3 * 2)
    assert rows_per_image(5, 4, 3, 2) == 4
    assert rows_per_image(6, 4, 3, 2) == 1
    assert rows_per_image(50, 1, 3, 2) == 1


@pytest.mark.parametrize("images", [None, np.array([9, 2, 41, 7])])
def test_rows_are_the_standardised_views_of_the_images_on_every_pass(
    images: NDArray[np.int64] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = TRAIN[0]
    mean, std = feature_statistics(features)
    expected = (features if images is None else features[images]).astype(float).reshape(-1, N_FEATURES)
    for keep in (0, 2**30):
        _shrink(monkeypatch, block=2**12, keep=keep)
        rows = StandardRows(features, mean, std, n_classes=N_CLASSES, images=images)
        for _ in range(2):
            found = np.empty((len(rows), N_FEATURES))
            pieces = list(rows)
            for where, block in pieces:
                found[where] = block
            assert len(pieces) > 1
            np.testing.assert_allclose(found, (expected - mean) / std, atol=1e-4)
    members = [members for members, _ in image_blocks(features, images, n_classes=N_CLASSES)]
    np.testing.assert_array_equal(np.concatenate(members), np.arange(100) if images is None else images)


def test_statistics_in_one_pass_keep_their_digits_beside_a_large_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).normal(1000, 0.6, (300, 2, 5)).astype(np.float16)
    features[..., 4] = 7
    monkeypatch.setattr(module, "BLOCK_BYTES", 999)
    mean, std = feature_statistics(features)
    flat = features.reshape(-1, 5).astype(np.float64)
    np.testing.assert_allclose(mean, flat.mean(0), rtol=1e-7)
    np.testing.assert_allclose(std[:4], flat.std(0)[:4], rtol=1e-6)
    assert std[4] == 1


@pytest.mark.parametrize("prior", ["val", "train", "fixed_point"])
@pytest.mark.parametrize("targets", ["in_fold", "out_of_fold"])
@pytest.mark.parametrize("form", ["linear_probe", "ncm"])
def test_many_blocks_give_the_teacher_of_one(
    form: str, targets: str, prior: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"form": form, "targets": targets, "prior": prior, "folds": 3}
    whole = _fit(**options)
    _shrink(monkeypatch, block=2**12)
    cut = _fit(**options)
    np.testing.assert_allclose(cut.readout.weight, whole.readout.weight, atol=2e-3)
    if targets == "out_of_fold":
        np.testing.assert_allclose(cut.fold_readouts.weight, whole.fold_readouts.weight, atol=2e-3)
    np.testing.assert_allclose(cut.log_prior, whole.log_prior, atol=2e-3)
    assert cut.train_accuracy == pytest.approx(whole.train_accuracy, abs=0.005)
    assert cut.target_accuracy == pytest.approx(whole.target_accuracy, abs=0.005)


class _Watched(Readout):
    """A readout that notes how many rows it was given at a time."""

    given: ClassVar[list[int]] = []

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        self.given.append(len(features))
        return super().logits(features)


def _watched() -> _Watched:
    _Watched.given.clear()
    mean, std = feature_statistics(TRAIN[0])
    weight = np.random.default_rng(4).normal(size=(N_CLASSES, N_FEATURES)).astype(np.float32)
    return _Watched(weight=weight, bias=np.ones(N_CLASSES, np.float32), feature_mean=mean, feature_std=std)


@pytest.mark.parametrize("of_val", [teacher_log_prior, fixed_point_log_prior, best_scale])
def test_what_is_taken_from_d_val_needs_one_block_of_logits_at_a_time(
    of_val: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    val, labels, readout = VAL[0][:, 0], VAL[1], _watched()
    monkeypatch.setattr(module, "BLOCK_BYTES", 16 * 32 * N_CLASSES)
    expected = of_val(readout.logits(val), labels)
    readout.given.clear()
    found = of_val(ReadoutLogits(readout, val), labels)
    assert max(readout.given) <= 16 < len(val) <= sum(readout.given)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if of_val is best_scale else 1e-6)


def test_logits_that_fit_in_a_block_are_computed_once_to_the_last_bit() -> None:
    val, labels, readout = VAL[0][:, 0], VAL[1], _watched()
    expected = fixed_point_log_prior(readout.logits(val), labels)
    readout.given.clear()
    np.testing.assert_array_equal(fixed_point_log_prior(ReadoutLogits(readout, val), labels), expected)
    assert readout.given == [len(val)]


@pytest.mark.parametrize(("prior", "n"), [("uniform", 0), ("train", 0), ("val", 1), ("fixed_point", 1)])
def test_only_a_prior_of_d_val_computes_its_logits(prior: str, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    whole = ReadoutLogits._logits
    monkeypatch.setattr(ReadoutLogits, "_logits", lambda self, rows: computed.append(1) or whole(self, rows))
    classifier = np.ones((N_CLASSES, N_FEATURES), np.float32), np.zeros(N_CLASSES, np.float32)
    fit_teacher(
        TeacherSpec(form="head", prior=prior), *TRAIN, VAL[0][:, 0], VAL[1], n_classes=N_CLASSES, classifier=classifier
    )
    assert len(computed) == n


@pytest.mark.slow
@pytest.mark.parametrize("form", ["linear_probe", "ncm"])
@pytest.mark.parametrize("targets", ["in_fold", "out_of_fold"])
def test_fitting_mapped_features_needs_less_memory_than_they_take(
    form: str, targets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, labels = _world((6000, 3000, 1000), 2)
    features.tofile(tmp_path / "features")
    mapped = np.memmap(tmp_path / "features", np.float16, "r", shape=features.shape)
    n_bytes = features.nbytes
    del features
    monkeypatch.setattr("trainables.cckd.teacher.fit.softmax_regression._MAX_ITERATIONS", 2)  # each one holds the same
    _shrink(monkeypatch, block=2**17)
    bounded = _peak(lambda: _fit((mapped, labels), form=form, targets=targets, folds=2))
    assert bounded < n_bytes, "half precision; one float32 copy takes twice as much"
    if form == "linear_probe":  # the measurement sees copies where they are allowed
        _shrink(monkeypatch, block=2**17, keep=2**30)
        assert _peak(lambda: _fit((mapped, labels), form=form, targets=targets, folds=2)) > 2 * n_bytes


def _peak(work: Callable[[], object]) -> int:
    """Most bytes that Python and numpy held at a time for `work`."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_blocks_in_threads_come_in_order_and_each_has_one_thread_of_products(n_threads: int) -> None:
    seen: set[int] = set()
    at_once, done = threading.Semaphore(n_threads), []

    def work(number: int) -> int:
        assert at_once.acquire(blocking=False), "more threads than the library of products has"
        time.sleep(0.002 * (number % 3))
        seen.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        done.append(number)
        at_once.release()
        return number * number

    with threadpool_limits(n_threads, "blas"):
        assert list(in_threads(work, range(12), result_bytes=1)) == [k * k for k in range(12)]
        after = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    assert seen == {1}
    assert after == {n_threads}, "as before"
    assert sorted(done) == list(range(12))


def test_an_error_of_a_block_comes_through() -> None:
    def fail(number: int) -> int:
        raise FloatingPointError(str(number))

    with pytest.raises(FloatingPointError, match="0"):
        list(in_threads(fail, range(3), result_bytes=1))


@pytest.mark.parametrize(("result_bytes", "most"), [(1, 7), (40, 2), (25, 4), (1000, 2)])
def test_few_large_results_wait_whatever_the_threads(
    result_bytes: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING_BYTES", 100)
    taken, begun = 0, []

    def numbers() -> Iterator[int]:
        for number in range(20):
            begun.append(number)
            yield number

    with threadpool_limits(6, "blas"):
        for result in in_threads(lambda number: number, numbers(), result_bytes=result_bytes):
            assert result == taken
            assert len(begun) <= taken + most
            taken += 1
    assert taken == 20
