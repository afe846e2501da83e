"""Which layers of a student draw random numbers in training, as dropout does."""

from copy import deepcopy
from typing import Any

import torch
from torch import nn

from trainables.cckd.students.build import StudentNet


def noisy_layers(student: StudentNet, image_shape: tuple[int, int, int]) -> list[str]:
    """Return the names of the layers of `student` that draw random numbers in training, each with its kind.

    One forward pass on the CPU finds them: a layer drew random numbers if torch's generator has advanced after it.

    Args:
        student: unchanged.
        image_shape: (Ch, H, W).
    """
    images = torch.randn(8, *image_shape, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        copy = deepcopy(student).cpu().train()
        noisy = _watch(copy)
        copy(images)
    return list(dict.fromkeys(noisy))


def _watch(student: StudentNet) -> list[str]:
    """Return a list that the next forward pass fills; of nested layers only the innermost is named."""
    # timm's names. Random numbers drawn outside any layer belong to the student's own `forward`.
    names = {
        layer: f"{name.removeprefix('net.') or 'forward'} ({type(layer).__name__})"
        for name, layer in student.named_modules()
    }
    noisy: list[str] = []
    entered: list[tuple[torch.Tensor, int]] = []

    def enter(*_: Any) -> None:
        entered.append((torch.get_rng_state(), len(noisy)))

    def leave(module: nn.Module, *_: Any) -> None:
        state, n_known = entered.pop()
        if len(noisy) == n_known and not torch.equal(state, torch.get_rng_state()):
            noisy.append(names[module])

    for module in student.modules():
        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)
    return noisy
