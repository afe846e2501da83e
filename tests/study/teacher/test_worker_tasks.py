"""A worker keeps the backbone from part to part of a pass and not behind it; too little memory is one line."""

import gc
import time
import weakref
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from study.teacher import worker_tasks as module
from study.teacher.worker_tasks import Extractor, extract
from trainables.cckd.errors import TeacherError

IMAGES, ROWS = np.zeros((3, 8, 8, 1), np.uint8), np.arange(2)
PART = np.zeros((2, 4, 4, 3), np.uint8), np.arange(2), None


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


@pytest.mark.parametrize(
    ("device", "error", "said"),
    [
        ("cuda", torch.OutOfMemoryError("CUDA out of memory.\nTried 9 GiB"), r"its GPU; got CUDA out .*Tried 9 GiB"),
        ("cuda", RuntimeError("CUDA error: out of memory\nCompile with"), r"its GPU; got CUDA error: out of memory"),
        (
            "cuda",
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"),
            "its GPU; got CUDA error: CUBLAS",
        ),
        ("cuda", RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "its GPU; got cuDNN error"),
        ("cuda", MemoryError("Unable to allocate"), "its node; got Unable"),
        ("cpu", RuntimeError("DefaultCPUAllocator: can't allocate memory: 9"), "its node; got DefaultCPU"),
        ("cpu", MemoryError(), "its node; got no more"),
    ],
)
@pytest.mark.parametrize("where", ["build", "pass"])
def test_too_little_memory_is_one_line_with_choices(
    monkeypatch: pytest.MonkeyPatch, where: str, device: str, error: Exception, said: str
) -> None:
    def fails(*arguments: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(module, "_backbone", cache(fails if where == "build" else lambda *_: _Backbone()))
    monkeypatch.setattr("trainables.cckd.teacher.features.extract", fails)
    begins = rf"^the teacher's pass on device {device} must fit the memory of {said}"
    for call in (
        lambda: extract("file", 32, device, 0, *PART),
        lambda: Extractor("file", 32, device, 0).extract(*PART),
    ):
        with pytest.raises(TeacherError, match=begins) as raised:
            call()
        assert "\n" not in str(raised.value)
        assert "choices: " in str(raised.value)
        assert "--teacher-size" in str(raised.value)


def test_another_error_of_the_pass_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(module, "_backbone", cache(fails))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        extract("file", 32, "cuda", 0, *PART)
