"""A worker keeps the teacher's backbone from part to part of a pass, and not behind it."""

import gc
import time
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from study.teacher import worker_tasks as module
from study.teacher.worker_tasks import Extractor, extract

IMAGES, ROWS = np.zeros((3, 8, 8, 1), np.uint8), np.arange(2)


class _Backbone:
    n_images_seen = 0


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> "list[weakref.ref[_Backbone]]":
    """Backbones that were built, while they are there."""
    found: list[weakref.ref[_Backbone]] = []

    def build(file: Any, **options: Any) -> _Backbone:
        made = _Backbone()
        found.append(weakref.ref(made))
        return made

    def features(backbone: _Backbone, images: Any, views: Any, workers: int) -> Any:
        backbone.n_images_seen += len(images)
        return np.zeros((len(images), 4), np.float16)

    module._backbone.cache_clear()
    monkeypatch.setattr("trainables.cckd.teacher.backbone.build_backbone", build)
    monkeypatch.setattr("trainables.cckd.teacher.features.extract", features)
    return found


@pytest.mark.parametrize("of", ["task", "actor", "failing"])
def test_a_backbone_is_kept_for_the_next_part_and_let_go_when_none_comes(
    built: Any, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    file: Any = SimpleNamespace if of == "failing" else of
    monkeypatch.setattr(module, "_KEEP_S", 600.0)
    actor = Extractor(file, 32, "cpu", 0)
    for _ in range(2):
        features, n_seen = (
            actor.extract(IMAGES, ROWS, None) if of == "actor" else extract(file, 32, "cpu", 0, IMAGES, ROWS, None)
        )
        assert (features.shape, n_seen) == ((2, 4), 2)
    (backbone,) = built
    assert backbone() is not None
    monkeypatch.setattr(module, "_KEEP_S", 0.01)
    if of == "failing":
        with pytest.raises(IndexError):
            extract(file, 32, "cpu", 0, IMAGES, np.array([7]), None)
    else:
        extract(file, 32, "cpu", 0, IMAGES, ROWS, None)
    limit = time.monotonic() + 60
    while backbone() is not None:
        assert time.monotonic() < limit, "trials of this process lack its memory"
        time.sleep(0.01)
        gc.collect()
    assert len(built) == 1
    monkeypatch.setattr(module, "_KEEP_S", 600.0)
    extract(file, 32, "cpu", 0, IMAGES, ROWS, None)
    assert len(built) == 2, "the next pass builds it again"
