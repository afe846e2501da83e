"""The bare decoder that streaming is held against gives the same pixels, so it does the same work."""

from pathlib import Path

import numpy as np

from benchmarks.streaming import _take_turns, _write_images, bare_view, rows
from trainables.cckd.data.images.crops import draw_crops
from trainables.cckd.data.images.decode import read_views


def test_the_bare_decoder_gives_the_pixels_of_a_streamed_view(tmp_path: Path) -> None:
    files = _write_images(tmp_path, 12, 60, 80)
    views = draw_crops(files.sizes, 1, flip=True, seed=0)[:, 0]
    assert 0 < views[:, 4].sum() < 12, "some are flipped, some are not"
    streamed = read_views(files, np.arange(12), views, 32)
    bare = np.stack([bare_view(files, views, 32, index).numpy() for index in range(12)])
    np.testing.assert_array_equal(bare, streamed)


def test_every_way_is_timed_on_every_turn(tmp_path: Path) -> None:
    files = _write_images(tmp_path, 64, 40, 40)
    seconds = _take_turns(files, draw_crops(files.sizes, 1, flip=True, seed=0)[:, 0], 16, workers=1, turns=2)
    assert {way: len(of_way) for way, of_way in seconds.items()} == {"decode": 2, "bare": 2, "stream": 2}


def test_goals_are_judged_on_speed_and_memory() -> None:
    seconds = {"decode": [1.0, 1.0], "bare": [1.8, 1.9], "stream": [2.0, 2.0]}
    assert [row.verdict for row in rows(seconds, 0.8)] == ["met", "met"]
    assert [row.verdict for row in rows(seconds | {"stream": [2.5, 2.5]}, 3.1)] == ["not met", "not met"]
