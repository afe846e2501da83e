"""Which trials can be trained as one: what must be equal, and what a student's layers must not do."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from trainables.cckd.fused.learner import forward, stacked
from trainables.cckd.students import StudentNet
from trainables.cckd.trainer import Trainer

#: What trials trained as one share, and how it is read off a trainer.
SHARED: dict[str, Callable[[Trainer], object]] = {
    "student": lambda trainer: trainer.config.student,
    "batch_size": lambda trainer: trainer.config.batch_size,
    "loss terms": lambda trainer: ", ".join(trainer.objective.weights),
    "mixed samples a step": lambda trainer: trainer.objective.n_mixed,
}

#: Logits of a fused and a solo pass may differ by this share of the largest.
_SAME = 0.01


def trial_faults(trainers: Sequence[Trainer]) -> list[str]:
    """Return one sentence for each thing in which a trial differs from the first; none where all can be fused."""
    first, *others = trainers
    faults = [
        f"fused trials must have the same {what}: trial 0 has {read(first)!r}, trial {number} {read(trainer)!r}"
        for number, trainer in enumerate(others, start=1)
        for what, read in SHARED.items()
        if read(trainer) != read(first)
    ]
    faults += [
        f"fused trials must train on the same data, device and precision; trial {number} does not share trial 0's"
        for number, trainer in enumerate(others, start=1)
        if trainer.data is not first.data or (trainer.device, trainer.precision) != (first.device, first.precision)
    ]
    return faults


def layer_faults(student: StudentNet, image_shape: tuple[int, int, int]) -> list[str]:
    """Return one sentence for each layer of `student` that K trials cannot share; none where all can.

    Forward passes on the CPU find out: one solo, after each layer of which torch's generator must stand where it stood,
    since a fused trial has no random stream of its own; and one fused, which must go through and give the same logits.

    Args:
        student: unchanged.
        image_shape: (Ch, H, W).
    """
    noisy = noisy_layers(student, image_shape)
    if noisy:
        return [
            f"layer {name} draws random numbers in training, which fused trials cannot do apart from each other"
            for name in noisy
        ]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        fault = _fused_fault(deepcopy(student).cpu().train(), _images(image_shape))
    return [] if fault is None else [fault]


def noisy_layers(student: StudentNet, image_shape: tuple[int, int, int]) -> list[str]:
    """Return the layers of `student`, unchanged, that draw random numbers in training; `image_shape` is (Ch, H, W)."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return _noisy_layers(deepcopy(student).cpu().train(), _images(image_shape))


def _images(image_shape: tuple[int, int, int]) -> Tensor:
    return torch.randn(8, *image_shape, generator=torch.Generator().manual_seed(0))


def _noisy_layers(student: StudentNet, images: Tensor) -> list[str]:
    names = _layer_names(student)
    noisy: list[str] = []
    entered: list[tuple[Tensor, int]] = []

    def enter(module: nn.Module, args: Any) -> None:
        entered.append((torch.get_rng_state(), len(noisy)))

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        state, n_known = entered.pop()
        # Of nested layers the innermost is named.
        if len(noisy) == n_known and not torch.equal(state, torch.get_rng_state()):
            noisy.append(names[module])

    _hook(student, enter, leave)
    student(images)
    return list(dict.fromkeys(noisy))


def _fused_fault(student: StudentNet, images: Tensor) -> str | None:
    names = _layer_names(student)
    entered = [names[student]]

    def enter(module: nn.Module, args: Any) -> None:
        entered.append(names[module])

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        entered.pop()

    wanted, _ = deepcopy(student)(images)
    _hook(student, enter, leave)
    tensors = {f"student.{name}": stacked([tensor, tensor]) for name, tensor in student.net.state_dict().items()}
    try:
        logits, _ = forward(student, tensors, [images, images])
    except Exception as error:  # layers raise every kind
        reason = str(error).strip().splitlines()[0]
        return f"layer {entered[-1]} cannot work on several trials at once: {reason}"
    # Far above rounding, far below what a layer that is wrong for K trials would do.
    if (logits - wanted).abs().max() <= _SAME * wanted.abs().max():
        return None
    return f"student {student.name!r} gives other logits when several trials share its layers"


def _layer_names(student: StudentNet) -> dict[nn.Module, str]:
    """Layers under the names that timm gives them, with their kind; what is in none is of the student's `forward`."""
    return {
        layer: f"{name.removeprefix('net.') or 'forward'} ({type(layer).__name__})"
        for name, layer in student.named_modules()
    }


def _hook(student: StudentNet, enter: Callable[..., None], leave: Callable[..., None]) -> None:
    for module in student.modules():
        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)
