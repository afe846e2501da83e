"""Augmentation of the student's images: each image has its own choices, whatever the blocks."""

from collections import Counter

import numpy as np
import pytest
import torch

from trainables.cckd.batches.augmentation import Augmentation, augmentation
from trainables.cckd.batches.torchvision_private import apply_operation

KINDS = ("cutout", "autoaugment", "randaugment")
FILL = 100.0


def _made(kind: str, channels: int = 3, size: int = 16) -> Augmentation:
    made = augmentation(kind, (channels, size, size), torch.full((channels,), FILL))
    assert made is not None
    return made


def _pixels(shape: tuple[int, int], channels: int = 3, size: int = 16) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (*shape, channels, size, size), generator=random).float()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_result_depends_on_the_choices_and_not_on_the_blocks(kind: str, channels: int) -> None:
    made = _made(kind, channels)
    choices = made.draw((4, 12), 12, seed=3, epoch=2)
    whole, parts = _pixels((4, 12), channels), _pixels((4, 12), channels)
    made.apply(whole, choices)
    for step in range(4):
        made.apply(parts[step : step + 1], choices[step : step + 1])
    assert torch.equal(whole, parts)
    assert not torch.equal(whole, _pixels((4, 12), channels))
    assert torch.equal(whole, whole.round().clamp(0, 255))


@pytest.mark.parametrize("kind", KINDS)
def test_choices_are_a_function_of_seed_and_epoch(kind: str) -> None:
    made = _made(kind)
    once = made.draw((3, 40), 40, seed=3, epoch=2)
    np.testing.assert_array_equal(once, made.draw((3, 40), 40, seed=3, epoch=2))
    assert (once != made.draw((3, 40), 40, seed=3, epoch=3)).any()
    assert (once != made.draw((3, 40), 40, seed=4, epoch=2)).any()
    assert len({tuple(choice) for choice in once.reshape(120, -1)}) > 40, "every image has choices of its own"


@pytest.mark.parametrize("size", [8, 15, 32])
def test_cutout_is_a_plain_loop(size: int) -> None:
    made = _made("cutout", 3, size)
    found, choices = _pixels((2, 9), 3, size), made.draw((2, 9), 9, seed=0, epoch=1)
    expected = found.clone().numpy()
    made.apply(found, choices)
    for image, (row, column) in zip(expected.reshape(18, 3, size, size), choices.reshape(18, 2), strict=True):
        half = size // 4
        image[:, max(0, row - half) : row + half, max(0, column - half) : column + half] = FILL
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_two_operations_happen_in_a_row(kind: str) -> None:
    made = _made(kind)
    found, choices = _pixels((1, 30)), made.draw((1, 30), 30, seed=0, epoch=1)
    expected = found[0].clone()
    made.apply(found, choices)
    for image, codes in zip(expected, choices[0].tolist(), strict=True):
        for code in codes:
            if code >= 0:
                name, magnitude = made._table[code]
                image[:] = apply_operation(name, magnitude, image[None].to(torch.uint8))[0].float()
    assert torch.equal(found[0], expected)


def test_randaugment_draws_its_operations_evenly_and_both_signs() -> None:
    made = _made("randaugment")
    drawn = made.draw((50, 200), 200, seed=0, epoch=1)
    assert drawn.min() >= 0
    by_name: Counter[str] = Counter()
    for code, n in Counter(drawn.ravel().tolist()).items():
        by_name[made._table[code][0]] += n
        if made._table[code][0] == "Rotate":
            assert n == pytest.approx(20_000 / 28, rel=0.15)
    assert len(by_name) == 14
    assert max(by_name.values()) / min(by_name.values()) < 1.25


def test_autoaugment_applies_an_operation_with_its_probability() -> None:
    made = _made("autoaugment")
    share = (made.draw((50, 200), 200, seed=0, epoch=1) >= 0).mean(axis=(0, 1))
    np.testing.assert_allclose(share, made._probabilities.mean(axis=0), atol=0.02)


def test_none_is_none() -> None:
    assert augmentation("none", (3, 8, 8), torch.zeros(3)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_images_of_d_are_altered_alike_beside_any_d_mix(kind: str) -> None:
    made = _made(kind)
    alone = made.draw((5, 8), 8, seed=3, epoch=2)
    for n_mixed in (1, 6):
        np.testing.assert_array_equal(made.draw((5, 8 + 2 * n_mixed), 8, seed=3, epoch=2)[:, :8], alone)
