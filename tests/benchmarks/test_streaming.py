"""The goals of streaming, before and after the image store, and that every way is timed."""

from pathlib import Path
from time import process_time

import numpy as np

from benchmarks.streaming import ORIGINALS, STORE, _take_turns, _write_images, rows
from trainables.cckd.data.store.image_store import ImageStore

WAYS = ("decode", "bare", "stream", "fed")


def test_every_way_of_every_source_is_timed_on_every_turn(tmp_path: Path) -> None:
    files = _write_images(tmp_path / "originals", 64, 300, 300)
    store = ImageStore(tmp_path / "store", 24)
    for row in range(64):
        store.make(files, row)
    started = process_time()
    seconds, work = _take_turns({ORIGINALS: files, STORE: store.stored(files)}, 16, workers=1, turns=2)
    own = process_time() - started
    for measured in (seconds, work):
        assert {way: len(of_way) for way, of_way in measured.items()} == {
            f"{way}, {source}": 2 for source in (ORIGINALS, STORE) for way in WAYS
        }
    assert sum(map(sum, work.values())) > own, "the work of the processes that decode counts"
    for source in (ORIGINALS, STORE):
        assert min(seconds[f"fed, {source}"]) >= 0.002 * 64, "the student works for 2 ms per image"


def test_goals_are_judged_on_speed_the_students_work_and_memory() -> None:
    seconds = {f"{way}, {source}": [2.0, 2.0] for way in WAYS for source in (ORIGINALS, STORE)}
    verdicts = [row.verdict for row in rows(seconds, seconds, 1000, 0.8)]
    assert verdicts == ["met"] * 6
    slow = seconds | {"stream, image store": [2.2, 2.2], "fed, originals": [4.0, 4.0]}
    found = {row.what: row for row in rows(slow, seconds, 1000, 3.1)}
    missed = {name for name, row in found.items() if row.verdict == "not met"}
    busy = "originals: a student of 2 ms per image is busy, share of an epoch"
    speed = "image store: streamed / bare decoder, images a second"
    assert missed == {busy, speed, "peak memory of a trial and its workers, GB"}
    assert np.isclose(found[busy].ratio.median, 0.5)
    assert np.isclose(found[speed].ratio.median, 2 / 2.2)
