"""How long a training step of a student takes, from its multiply-adds: an estimate, where no step has been timed."""

from trainables.cckd.errors import ConfigError
from trainables.cckd.students.cifar_sizes import N_BLOCKS, cifar_multiply_adds

#: Multiply-adds per second of one core in training: resnet8_cifar took 1,650 samples of 28x28 per second on an AMD EPYC
#: core with AVX-512. Other cores and students differ, by a factor of two and more.
_CORE_RATE = 45e9

#: Seconds of a step on a core before the first multiply-add, in which small images spend most of their time. Steps of
#: digits (8x8, 128 samples) took 7 ms on an AMD EPYC core and 19 ms on an Intel Xeon core.
_CORE_STEP_S = 7e-3

#: Seconds of a step on a GPU before the first multiply-add, and multiply-adds per second after it. On an NVIDIA H100
#: (CUDA graph, bfloat16) a step of 128 samples took 1.65 ms with resnet8_cifar and 4.1 ms with resnet32_cifar.
_GPU_STEP_S = 1.4e-3
_GPU_RATE = 1e13

#: Passes of a training step in units of its forward pass: the gradients of inputs and weights cost one each.
_PASSES = 3


def multiply_adds(name: str, n_classes: int, in_chans: int, image_size: int) -> int:
    """Return the multiply-adds of one image's forward pass; arguments as for `build_student`.

    Raises:
        ConfigError: a student that cannot be built.
    """
    if name in N_BLOCKS:
        return cifar_multiply_adds(name, n_classes, in_chans, image_size)
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from trainables.cckd.students.build import build_student

    def counted(device: str) -> int:
        with torch.device(device), FlopCounterMode(display=False) as counter:
            build_student(name, n_classes, in_chans, image_size)  # which passes two images
        return counter.get_total_flops() // 4

    try:
        return counted("meta")
    except ConfigError:  # some networks cannot be built without memory
        return counted("cpu")


def step_seconds(n_multiply_adds: float, n_samples: float, device: str) -> float:
    """Return about how long a step takes on one core, or on one GPU where `device` is 'cuda'."""
    work = _PASSES * n_multiply_adds * n_samples
    return _GPU_STEP_S + work / _GPU_RATE if device == "cuda" else _CORE_STEP_S + work / _CORE_RATE
