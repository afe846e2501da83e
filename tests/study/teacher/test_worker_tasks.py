"""The teacher's pass on a device with too little memory ends with one line, whatever the library calls it."""

from typing import Any

import numpy as np
import pytest
import torch

from study.teacher import worker_tasks
from study.teacher.worker_tasks import Extractor, extract
from trainables.cckd.errors import TeacherError

PART = np.zeros((2, 4, 4, 3), np.uint8), np.arange(2), None


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

    class _Backbone:
        n_images_seen = 0

    monkeypatch.setattr(worker_tasks, "_backbone", fails if where == "build" else lambda *_: _Backbone())
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

    monkeypatch.setattr(worker_tasks, "_backbone", fails)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        extract("file", 32, "cuda", 0, *PART)
