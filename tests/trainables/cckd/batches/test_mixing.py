from typing import Literal

import numpy as np
import pytest
import torch

from trainables.cckd.batches.mixing import Pairs, draw_balanced, draw_pairs, mix_images, mix_rows

LABELS = np.repeat([0, 2, 1], [90, 6, 4])  # neither sorted nor balanced


def _pairs(
    op: Literal["mixup", "cutmix"] = "mixup",
    *,
    balance: float = 1.0,
    alpha: float = 0.5,
    seed: int = 0,
    epoch: int = 1,
) -> Pairs:
    return draw_pairs(
        LABELS,
        20,
        50,
        balance=balance,
        alpha=alpha,
        op=op,
        image_size=(8, 6),
        seed=seed,
        epoch=epoch,
    )


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_classes_are_drawn_by_a_power_of_their_count_and_samples_alike_within_one(balance: float) -> None:
    drawn = draw_balanced(LABELS, (30_000,), np.random.default_rng(0), balance=balance)
    weights = np.array([90.0, 4.0, 6.0]) ** (1 - balance)
    np.testing.assert_allclose(np.bincount(LABELS[drawn]) / 30_000, weights / weights.sum(), atol=0.015)
    times = np.bincount(drawn, minlength=100)[90:96]
    np.testing.assert_allclose(times / times.sum(), 1 / 6, atol=0.04)
    pairs = _pairs(balance=balance)
    for member in (pairs.first, pairs.second):
        found = np.bincount(LABELS[member.ravel()], minlength=3) / 1000
        np.testing.assert_allclose(found, weights / weights.sum(), atol=0.06)
    assert not np.array_equal(pairs.first, pairs.second)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 2.0])
def test_each_pair_has_its_own_beta_lambda(alpha: float) -> None:
    share = _pairs(alpha=alpha).share
    assert share.shape == (20, 50)
    assert len(np.unique(share)) > 900
    assert share.mean() == pytest.approx(0.5, abs=0.04)
    assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.12)  # variance of Beta(alpha, alpha)


def test_pairs_depend_on_seed_and_epoch_only() -> None:
    first, again = _pairs("cutmix"), _pairs("cutmix")
    for name in ("first", "second", "share", "boxes"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.first, _pairs("cutmix", epoch=2).first)
    assert not np.array_equal(first.share, _pairs("cutmix", seed=1).share)


def test_mixup_blends_images_pair_by_pair() -> None:
    first, second = torch.rand(3, 2, 4, 4), torch.rand(3, 2, 4, 4)
    share = torch.tensor([0.0, 0.25, 1.0])
    mixed = mix_images(first, second, share, boxes=None)
    torch.testing.assert_close(mixed[0], second[0])
    torch.testing.assert_close(mixed[1], 0.25 * first[1] + 0.75 * second[1])
    torch.testing.assert_close(mixed[2], first[2])


def test_cutmixs_lambda_is_the_area_really_kept() -> None:
    pairs = _pairs("cutmix")
    assert pairs.boxes is not None
    for boxes, share in zip(pairs.boxes[:3], pairs.share[:3], strict=True):
        first, second = torch.ones(50, 1, 8, 6), torch.zeros(50, 1, 8, 6)
        mixed = mix_images(first, second, torch.from_numpy(share), torch.from_numpy(boxes))
        torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), torch.from_numpy(share))
    assert (pairs.share < 1).any()


def test_cutmix_pastes_a_rectangle_at_its_place() -> None:
    first, second = torch.zeros(1, 2, 5, 6), torch.ones(1, 2, 5, 6)
    mixed = mix_images(first, second, torch.tensor([0.8]), torch.tensor([[1, 3, 2, 5]]))
    expected = torch.zeros(1, 2, 5, 6)
    expected[:, :, 1:3, 2:5] = 1
    torch.testing.assert_close(mixed, expected)


def test_targets_mix_by_the_same_share() -> None:
    first, second, share = torch.rand(4, 3), torch.rand(4, 3), torch.rand(4)
    expected = np.stack([s * a + (1 - s) * b for a, b, s in zip(first, second, share, strict=True)])
    np.testing.assert_allclose(mix_rows(first, second, share).numpy(), expected, rtol=1e-5)
