"""The regression on a GPU has the loss, gradients and classes of the CPU's; here torch's CPU stands for a card."""

import numpy as np
import pytest
import torch

from trainables.cckd.teacher.fit import probe, row_blocks
from trainables.cckd.teacher.fit.gpu_regression import GpuRegression
from trainables.cckd.teacher.fit.probe import fit_probe
from trainables.cckd.teacher.fit.row_blocks import StandardRows, feature_statistics
from trainables.cckd.teacher.fit.softmax_regression import Affine, SoftmaxRegression

C, D = 7, 5
LABELS = np.repeat(np.arange(C), (30, 12, 9, 6, 4, 2, 1))
RNG = np.random.default_rng(3)
FEATURES = (2 + RNG.normal(size=(len(LABELS), 3, D)) + 0.3 * LABELS[:, None, None]).astype(np.float16)
POINT = Affine(RNG.normal(size=(C, D)).astype(np.float32), RNG.normal(size=C).astype(np.float32))
VAL = FEATURES[::2, 0], LABELS[::2]


def _rows(features: np.ndarray) -> StandardRows:
    return StandardRows(features, *feature_statistics(features), n_classes=C)


def _spread() -> np.ndarray:
    root = RNG.normal(size=(D, D)).astype(np.float32) / 4
    return root @ root.T


@pytest.mark.parametrize("in_expectation", [False, True])
@pytest.mark.parametrize("block_bytes", [2**26, 2_000])
def test_loss_gradients_and_classes_are_those_of_the_cpu(
    monkeypatch: pytest.MonkeyPatch, in_expectation: bool, block_bytes: int
) -> None:
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", block_bytes)
    rows, spread = _rows(FEATURES[:, :1]), _spread() if in_expectation else None
    ours = GpuRegression(rows, LABELS, C, 0.7, spread, device="cpu")
    reference = SoftmaxRegression(rows, LABELS, C, 0.7, spread)
    for found, expected in zip(ours.loss_and_gradient(POINT), reference.loss_and_gradient(POINT), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
    others = _rows(FEATURES)
    for asked in (rows, others):
        np.testing.assert_array_equal(ours.predict(asked, POINT), reference.predict(asked, POINT))


@pytest.mark.parametrize("n_rows", [1, 3])
def test_a_probe_fitted_so_is_the_cpus_probe(monkeypatch: pytest.MonkeyPatch, n_rows: int) -> None:
    monkeypatch.setattr(probe, "rows_per_image", lambda *size: n_rows)
    expected = fit_probe(FEATURES, LABELS, *VAL, n_classes=C)
    monkeypatch.setattr(GpuRegression, "device", "cpu")
    monkeypatch.setattr(GpuRegression.__init__, "__defaults__", (*GpuRegression.__init__.__defaults__[:-1], "cpu"))
    found = fit_probe(FEATURES, LABELS, *VAL, n_classes=C, device="cuda")
    assert found.strength == expected.strength
    np.testing.assert_allclose(found.weight, expected.weight, atol=0.02)


@pytest.mark.parametrize("fits", [True, False])
def test_rows_of_half_the_free_memory_stay_on_the_card_and_larger_ones_come_anew_in_every_pass(
    monkeypatch: pytest.MonkeyPatch, fits: bool
) -> None:
    n_bytes = 4 * len(LABELS) * D
    free = 2 * n_bytes if fits else 2 * n_bytes - 1
    asked: list[str] = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: asked.append(device) or (free, 10 * free))
    read: list[int] = []
    rows = _rows(FEATURES[:, :1])
    monkeypatch.setattr(StandardRows, "__iter__", lambda rows, ours=StandardRows.__iter__: read.append(1) or ours(rows))
    of_a_card = GpuRegression(rows, LABELS, C, 1.0, device="cpu:0")  # torch's CPU by a name that is not 'cpu'
    found = [of_a_card.loss_and_gradient(POINT)[0] for _ in range(3)]
    assert asked == ["cpu:0"]
    assert len(read) == (1 if fits else 3)
    assert found == [GpuRegression(rows, LABELS, C, 1.0, device="cpu").loss_and_gradient(POINT)[0]] * 3


def test_products_have_full_precision_whatever_the_process_has_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    addmm = torch.addmm
    monkeypatch.setattr(torch, "addmm", lambda *of: seen.append(torch.get_float32_matmul_precision()) or addmm(*of))
    ours = GpuRegression(_rows(FEATURES[:, :1]), LABELS, C, 1.0, device="cpu")
    torch.set_float32_matmul_precision("high")
    try:
        ours.loss_and_gradient(POINT)
        ours.predict(ours.rows, POINT)
        assert torch.get_float32_matmul_precision() == "high", "it is put back"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert seen == ["highest"] * 2
