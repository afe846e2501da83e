"""Simulated features have the size, tail and faults that a fit must bear, and are the same at every drawing."""

import numpy as np
import pytest

from benchmarks.simulated_features import BLOCK, SETS, SimulatedSet, World

SMALL = SimulatedSet(12, 600, 200, 2, 5, n_features=16, n_views=6)


@pytest.mark.parametrize("scale", [1.0, 0.1])
@pytest.mark.parametrize("name", ["imagenet_lt", "inat2018"])
def test_a_set_has_its_published_numbers_at_every_scale(name: str, scale: float) -> None:
    size = SETS[name].at(scale)
    counts = np.bincount(size.labels, minlength=size.n_classes)
    assert counts.sum() == round(SETS[name].n_images * scale)
    assert (np.diff(counts)[1:] <= 1).all(), "counts fall, but for rounding, which the first class makes good"
    assert counts.min() in (size.smallest, max(1, size.smallest - 1), size.smallest + 1)
    assert counts.max() == pytest.approx(size.largest, rel=0.05)
    assert set(np.bincount(size.val_labels)) == {size.n_val}


def test_a_block_is_the_same_whatever_was_drawn_before() -> None:
    world, labels = World(SMALL), SMALL.labels
    whole = world.draw(labels, 6, seed=1)
    assert whole.shape == (600, 6, 16)
    assert whole.dtype == np.float16
    again = World(SMALL).block(labels[BLOCK : 2 * BLOCK], 1, 6, seed=1)
    np.testing.assert_array_equal(whole[BLOCK : 2 * BLOCK], again)
    assert not np.array_equal(again, World(SMALL).block(labels[BLOCK : 2 * BLOCK], 1, 6, seed=2))


def test_nothing_is_normal_and_views_differ() -> None:
    size = SimulatedSet(4, 4000, 1500, 500, 1, n_features=16, n_views=6)
    features = World(size).draw(size.labels, 6, seed=1).astype(float)
    assert (features >= 0).all(), "as behind a last activation"
    standard = (features - features.mean((0, 1))) / features.std((0, 1))
    assert (standard**3).mean() > 0.5, "skewed"
    within = features.var(axis=1).mean(axis=1)
    assert within.max() > 10 * np.median(within), "some images have a view of little but background"
    assert 0.05 < within.mean() / features.var(axis=(0, 1)).mean() < 0.6
    correlations = np.corrcoef(features[:, 0].T)[np.triu_indices(16, 1)]
    assert np.abs(correlations).max() > 0.3


def test_classes_can_be_told_apart_and_not_perfectly() -> None:
    size = SimulatedSet(12, 2400, 300, 100, 40, n_features=64, n_views=2)
    world = World(size)
    means = world.draw(size.labels, 2, seed=1).astype(float).mean(1)
    centres = np.stack([means[size.labels == c].mean(0) for c in range(12)])
    val = world.draw(size.val_labels, 1, seed=2)[:, 0].astype(float)
    nearest = ((val[:, None] - centres) ** 2).sum(-1).argmin(1)
    assert 0.25 < (nearest == size.val_labels).mean() < 0.99
