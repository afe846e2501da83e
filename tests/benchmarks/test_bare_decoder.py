"""The bare decoder that streaming is held against gives the same pixels, so it does the same work."""

from pathlib import Path

import numpy as np

from benchmarks.bare_decoder import BareDecoder, bare_view
from benchmarks.streaming import _write_images
from trainables.cckd.data.images.crops import draw_crops
from trainables.cckd.data.images.decode import read_views


def test_the_bare_decoder_gives_the_pixels_of_a_streamed_view(tmp_path: Path) -> None:
    files = _write_images(tmp_path / "originals", 12, 60, 80)
    views = draw_crops(files.sizes, 1, flip=True, seed=0)[:, 0]
    assert 0 < views[:, 4].sum() < 12, "some are flipped, some are not"
    streamed = read_views(files, np.arange(12), views, 32)
    bare = np.stack([bare_view(files, views, 32, index).numpy() for index in range(12)])
    np.testing.assert_array_equal(bare, streamed)
    with BareDecoder(files, views, 32, workers=1) as decoder:
        chunks = [np.arange(5), np.arange(5, 12)]
        assert decoder.decode(chunks) == decoder.views(chunks) == 12
