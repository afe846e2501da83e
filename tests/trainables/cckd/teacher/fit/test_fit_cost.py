"""The products of a fit by hand, and a speed that is measured."""

import re
import threading
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from trainables.cckd.teacher.fit import fit_cost, row_blocks
from trainables.cckd.teacher.fit.fit_cost import fit_products, pass_products, products_per_second
from trainables.cckd.teacher.fit.softmax_regression import block_sums


def test_every_view_is_a_row_up_to_the_limit_and_an_image_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    n, v, d, c = 100, 4, 8, 5
    rows = n * v
    assert fit_products(n, v, d, c) == 80 * 2 * rows * d * c + (8 * rows + rows) * d * c
    monkeypatch.setattr(row_blocks, "MOST_PRODUCTS", rows * d * c - 1)
    one_pass = 2 * n * d * c + 2 * c * c * d + c * d * d
    assert fit_products(n, v, d, c) == 120 * one_pass + (11 * n + rows) * d * c


@pytest.mark.parametrize("n_folds", [2, 5])
def test_folds_cost_what_their_images_do(n_folds: int) -> None:
    of_folds = fit_products(90, 2, 8, 5, n_folds=n_folds) - fit_products(90, 2, 8, 5)
    assert of_folds == pytest.approx(n_folds * 40 * pass_products(180, 8, 5, of_means=False) * (1 - 1 / n_folds))


def test_the_page_has_the_formula_of_the_code() -> None:
    page = (Path(__file__).resolve().parents[5] / "docs" / "performance.md").read_text(encoding="utf-8")
    found = re.findall(r"^    seconds = \((.*) \+ \((\d+) \+ V\) N D C\) / speed$", page, re.MULTILINE)
    ((of_passes, n_predictions),) = found
    assert of_passes == "passes x (2 N D C + 2 C^2 D + C D^2)"
    n, v, d, c = 115_846, 8, 1280, 1000
    one_pass = 2 * n * d * c + 2 * c**2 * d + c * d**2
    assert fit_products(n, v, d, c) == 120 * one_pass + (int(n_predictions) + v) * n * d * c


@pytest.mark.parametrize("n_folds", [2, 5])
def test_each_fold_of_a_large_set_compares_every_pair_of_classes(n_folds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "MOST_PRODUCTS", 90 * 2 * 8 * 5 - 1)  # the others of a fold alone lie below it
    of_folds = fit_products(90, 2, 8, 5, n_folds=n_folds) - fit_products(90, 2, 8, 5)
    others = 90 - 90 // n_folds
    assert of_folds == pytest.approx(n_folds * 100 * (2 * others * 8 * 5 + 2 * 5 * 5 * 8 + 5 * 8 * 8))


@pytest.mark.parametrize("n_threads", [1, 3])
def test_a_speed_is_products_by_the_median_of_the_clock(monkeypatch: pytest.MonkeyPatch, n_threads: int) -> None:
    times = iter([0.0, 99.0, 100.0, 102.0, 110.0, 110.5, 120.0, 129.0])  # a first turn, then 2, 0.5 and 9 seconds
    monkeypatch.setattr(fit_cost, "perf_counter", lambda: next(times))
    with threadpool_limits(n_threads, "blas"):
        assert products_per_second(16, 7) == 2 * n_threads * 2 * 2000 * 16 * 7 / 2.0


def test_every_thread_of_the_pool_has_blocks_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    together, computed = threading.Barrier(6), []

    def sums(*of: Any) -> Any:
        together.wait(timeout=30)  # a broken barrier fails the test: fewer than six blocks are computed at a time
        computed.append(threading.get_ident())
        return block_sums(*of)

    monkeypatch.setattr(fit_cost, "block_sums", sums)
    with threadpool_limits(6, "blas"):
        assert products_per_second(16, 7) > 0
    assert len(set(computed)) >= 6


def test_blocks_of_many_classes_are_as_short_as_in_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 10 * (10 * 16 + 32 * 50))
    times = iter([0.0, 1.0] * 4)
    monkeypatch.setattr(fit_cost, "perf_counter", lambda: next(times))
    with threadpool_limits(2, "blas"):
        assert products_per_second(16, 50) == 4 * 2 * 10 * 16 * 50
