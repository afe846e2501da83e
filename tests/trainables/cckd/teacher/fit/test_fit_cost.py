"""The products of a fit by hand, and a speed that is measured."""

import pytest

from trainables.cckd.teacher.fit import fit_cost, row_blocks
from trainables.cckd.teacher.fit.fit_cost import fit_products, pass_products, products_per_second


def test_every_view_is_a_row_up_to_the_limit_and_an_image_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    n, v, d, c = 100, 4, 8, 5
    rows = n * v
    assert fit_products(n, v, d, c) == 80 * 2 * rows * d * c + (8 * rows + rows) * d * c
    monkeypatch.setattr(row_blocks, "MOST_PRODUCTS", rows * d * c - 1)
    one_pass = 2 * n * d * c + 2 * c * c * d + c * d * d
    assert fit_products(n, v, d, c) == 220 * one_pass + (8 * n + rows) * d * c


@pytest.mark.parametrize("n_folds", [2, 5])
def test_folds_cost_what_their_images_do(n_folds: int) -> None:
    of_folds = fit_products(90, 2, 8, 5, n_folds=n_folds) - fit_products(90, 2, 8, 5)
    assert of_folds == pytest.approx(n_folds * 40 * pass_products(180, 8, 5, of_means=False) * (1 - 1 / n_folds))


def test_a_speed_is_products_by_the_median_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 2.0, 10.0, 10.5, 20.0, 29.0])  # turns of 2, 0.5 and 9 seconds
    monkeypatch.setattr(fit_cost, "perf_counter", lambda: next(times))
    assert products_per_second(16, 7) == pass_products(1024, 16, 7, of_means=True) / 2.0


def test_a_set_of_more_classes_is_sampled_at_a_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_cost, "_SAMPLE_CLASSES", 11)
    times = iter([0.0, 1.0] * 3)
    monkeypatch.setattr(fit_cost, "perf_counter", lambda: next(times))
    assert products_per_second(16, 8142) == pass_products(1024, 16, 11, of_means=True)
