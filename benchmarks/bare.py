"""The bound of an epoch: the student's own passes, forward and back, and the optimiser's step, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from trainables.cckd.precision import Precision, StepShape
from trainables.cckd.students.build import StudentNet, build_student
from trainables.cckd.training.learner import autocast
from trainables.cckd.training.passes import Passes


@dataclass(frozen=True)
class Setting:
    """How the bare student is run.

    Attributes:
        memory_format: of images and weights.
        precision: of the forward passes.
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
    shape: StepShape, steps: int, setting: Setting | None = None, *, device: str = "cpu"
) -> Callable[[], None]:
    """Return an epoch of `steps` steps of `shape` on one resident batch of random images."""
    setting = Setting() if setting is None else setting
    student = build_student(shape.student, shape.n_classes, shape.in_chans, shape.image_size).to(device)
    student = student.to(memory_format=setting.memory_format)
    images = torch.randn(shape.n_samples, shape.in_chans, shape.image_size, shape.image_size, device=device)
    images = images.contiguous(memory_format=setting.memory_format)
    step = _step(student, images, shape, setting)
    if setting.recorded:
        step = _recorded(step)

    def epoch() -> None:
        for _ in range(steps):
            step()
        if device == "cuda":
            torch.cuda.synchronize()

    return epoch


def _step(student: StudentNet, images: torch.Tensor, shape: StepShape, setting: Setting) -> Callable[[], None]:
    labels = torch.randint(shape.n_classes, (shape.n_samples,), device=images.device)
    optimizer = torch.optim.SGD(
        student.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )
    if setting.compiled:
        student.compile()
    passes = Passes(student, shape.mix_statistics)

    def step() -> None:
        with autocast(images.device, setting.precision):
            logits, _ = passes(images, shape.n_plain)
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
