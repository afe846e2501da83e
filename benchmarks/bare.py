"""The bound of an epoch: the student's forward and backward pass and the optimiser's step, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from benchmarks.shapes import Shape
from trainables.cckd.precision import Precision
from trainables.cckd.students.build import StudentNet, build_student
from trainables.cckd.training.learner import autocast


@dataclass(frozen=True)
class Setting:
    """How the bare student is run.

    Attributes:
        memory_format: of images and weights.
        precision: of the forward pass.
        recorded: whether steps are replayed from a CUDA graph.
        compiled: whether the student goes through `torch.compile`.
    """

    memory_format: torch.memory_format = torch.channels_last
    precision: Precision = "float32"
    recorded: bool = False
    compiled: bool = False


#: Tried on each kind of device; the fastest is the bound.
SETTINGS = {
    "cpu": {
        "bare channels_last": Setting(),
        "bare contiguous": Setting(torch.contiguous_format),
        "bare bfloat16": Setting(precision="bfloat16"),
    },
    "cuda": {
        "bare channels_last": Setting(),
        "bare bfloat16": Setting(precision="bfloat16"),
        "bare recorded": Setting(recorded=True),
        "bare recorded bfloat16": Setting(precision="bfloat16", recorded=True),
        "bare recorded contiguous": Setting(torch.contiguous_format, recorded=True),
        "bare recorded contiguous bfloat16": Setting(torch.contiguous_format, precision="bfloat16", recorded=True),
    },
}
COMPILED = {
    "cpu": {
        "bare compiled": Setting(compiled=True),
        "bare compiled bfloat16": Setting(precision="bfloat16", compiled=True),
    },
    "cuda": {"bare recorded compiled bfloat16": Setting(precision="bfloat16", recorded=True, compiled=True)},
}

#: Steps before a recording.
_WARM_UP = 3


def bare_epoch(
    shape: Shape, n_samples: int, steps: int, setting: Setting | None = None, *, device: str = "cpu"
) -> Callable[[], None]:
    """Return an epoch of `steps` steps on one resident batch of `n_samples` random images."""
    setting = Setting() if setting is None else setting
    student = build_student(shape.student, shape.n_classes, shape.n_channels, shape.size).to(device)
    student = student.to(memory_format=setting.memory_format)
    images = torch.randn(n_samples, shape.n_channels, shape.size, shape.size, device=device)
    images = images.contiguous(memory_format=setting.memory_format)
    labels = torch.randint(shape.n_classes, (n_samples,), device=device)
    step = _step(student, images, labels, setting)
    if setting.recorded:
        step = _recorded(step)

    def epoch() -> None:
        for _ in range(steps):
            step()
        if device == "cuda":
            torch.cuda.synchronize()

    return epoch


def _step(student: StudentNet, images: torch.Tensor, labels: torch.Tensor, setting: Setting) -> Callable[[], None]:
    optimizer = torch.optim.SGD(
        student.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )
    forward = torch.compile(student) if setting.compiled else student

    def step() -> None:
        with autocast(images.device, setting.precision):
            logits, _ = forward(images)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _recorded(step: Callable[[], None]) -> Callable[[], None]:
    for _ in range(_WARM_UP):
        step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def replay(kept: Callable[[], None] = step) -> None:
        graph.replay()  # reads the memory of what the step holds

    return replay
