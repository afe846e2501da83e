"""The estimate of a store: bytes near those that are written, and nothing written for it."""

from pathlib import Path

import numpy as np
import pytest

from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.store.image_store import ImageStore
from trainables.cckd.data.store.store_cost import store_cost


def test_the_estimate_is_what_a_build_then_takes(store: ImageStore, originals: ImageFiles) -> None:
    held = originals.take(np.array([0, 16]))
    found = store_cost(store, [originals, held])
    assert (found.n_images, found.n_absent, found.n_unshrunk) == (17, 17, 2)
    assert not store.folder.exists()
    made = [store.make(originals, row) for row in range(16)] + [store.make(held, 0)]
    assert found.n_bytes == pytest.approx(sum(made), rel=1e-3), "the sample is all of them"
    assert 0 < found.seconds < 10


def test_what_is_there_costs_nothing(store: ImageStore, originals: ImageFiles) -> None:
    for row in range(16):
        store.make(originals, row)
    found = store_cost(store, [originals])
    assert (found.n_images, found.n_absent, found.n_bytes, found.seconds) == (16, 0, 0, 0.0)


def test_a_damaged_original_does_not_end_the_estimate(store: ImageStore, originals: ImageFiles) -> None:
    Path(originals.root / originals.paths[0]).write_bytes(b"torn")
    found = store_cost(store, [originals])
    assert (found.n_absent, found.n_bytes > 0) == (16, True)
