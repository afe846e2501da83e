from dataclasses import replace

import numpy as np
import pytest
import torch

from trainables.cckd.data.images import decoders
from trainables.cckd.data.images.crops import centre_views, draw_crops
from trainables.cckd.data.images.decode import read_image, read_views
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.view_stream import ViewStream, hold, pixel_moments, stream_views
from trainables.cckd.errors import DataError


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "CHUNK", 4)  # so that a batch takes several, the last one short


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("resident", [False, True])
def test_batches_are_the_views_asked_for_in_their_order(image_files: ImageFiles, workers: int, resident: bool) -> None:
    source = hold(image_files, workers=1) if resident else image_files
    crops = draw_crops(image_files.sizes, 3, flip=True, seed=0)
    rng = np.random.default_rng(0)
    loader = ViewStream(source, 12, workers)
    for _ in range(2):  # two epochs, the workers stay
        members, which = rng.integers(0, 42, (5, 10)), rng.integers(0, 3, (5, 10))
        found = [batch.numpy() for batch in loader.batches(members, crops[members, which])]
        assert len(found) == 5
        for batch, indices, view in zip(found, members, which, strict=True):
            np.testing.assert_array_equal(batch, read_views(image_files, indices, crops[indices, view], 12))


def test_an_epoch_left_early_does_not_leak_into_the_next(image_files: ImageFiles) -> None:
    views = centre_views(image_files.sizes)
    loader = ViewStream(image_files, 8, 2)
    forth, back = np.arange(40).reshape(5, 8), np.arange(40)[::-1].reshape(5, 8).copy()
    next(loader.batches(forth, views[forth]))
    for batch, indices in zip(loader.batches(back, views[back]), back, strict=True):
        np.testing.assert_array_equal(batch.numpy(), read_views(image_files, indices, views[indices], 8))


def test_a_whole_source_streams_with_all_its_views_or_its_evaluation_views(image_files: ImageFiles) -> None:
    crops = draw_crops(image_files.sizes, 3, flip=True, seed=0)
    found = torch.cat(list(stream_views(image_files, crops, size=8, batch_size=50, workers=0)))
    expected = read_views(image_files, np.repeat(np.arange(42), 3), crops.reshape(-1, 5), 8)
    np.testing.assert_array_equal(found.numpy(), expected)
    found = torch.cat(list(stream_views(image_files, None, size=8, batch_size=50, workers=0)))
    expected = read_views(image_files, np.arange(42), centre_views(image_files.sizes), 8)
    np.testing.assert_array_equal(found.numpy(), expected)


def test_a_trials_random_streams_do_not_notice_the_loader(image_files: ImageFiles) -> None:
    before = torch.random.get_rng_state()
    for workers in (0, 1):
        list(stream_views(image_files, None, size=8, batch_size=50, workers=workers))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_is_gone_is_named_from_every_worker(image_files: ImageFiles, workers: int) -> None:
    files = replace(image_files, paths=(*image_files.paths[:30], "gone.jpg", *image_files.paths[31:]))
    faults: tuple[str, ...] = ()
    try:  # not pytest.raises, which would keep the traceback, and so the workers, alive
        list(stream_views(files, None, size=8, batch_size=10, workers=workers))
    except DataError as error:
        faults = error.faults
    (fault,) = faults
    assert fault.endswith("gone.jpg cannot be read as an image: missing")


def test_moments_are_those_of_the_evaluation_views(image_files: ImageFiles) -> None:
    mean, std = pixel_moments(image_files, workers=0)
    pixels = np.concatenate(
        [
            read_image(image_files, index)[top : top + side, left : left + side].reshape(-1, 3) / 255
            for index, (top, left, side, _, _) in enumerate(centre_views(image_files.sizes).tolist())
        ]
    )
    # Images count equally in the one and by their area in the other; growing them smooths the noise.
    np.testing.assert_allclose(mean, pixels.mean(axis=0), atol=0.02)
    assert ((std > 0.7 * pixels.std(axis=0)) & (std < pixels.std(axis=0))).all()
