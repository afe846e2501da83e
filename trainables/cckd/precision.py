"""The number format of a student's forward and backward pass, and when bfloat16 is chosen over float32.

Both train equally well (docs/results.md), so the faster one is taken. Which one that is depends on the processor and on
the student. bfloat16 is faster on GPUs, and on processors with matrix units for it. On an Intel Xeon without them every
operation converts and none gets faster. So steps are timed (training/step_times.py). Weights, losses and the optimiser
stay in float32, as in torch's automatic mixed precision. This module imports no torch, because the driver uses it at
start-up.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")

#: bfloat16 is taken where a step is at least so many times as fast in it. A smaller gain is not worth a study whose
#: numbers differ from those of other machines in their rounding.
LEAST_GAIN = 1.1


@dataclass(frozen=True)
class StepShape:
    """What decides how long a student's training step takes on one core of a given machine.

    Attributes:
        student: name of the student.
        n_classes: C.
        in_chans, image_size: channels, and side in pixels, of its images.
        n_plain, n_mixed: samples of D and of D_mix in a step.
        mix_statistics: 'separate' where BatchNorm normalises D and D_mix apart, which takes a pass over each; 'joint'
            where one pass has both.
    """

    student: str
    n_classes: int
    in_chans: int
    image_size: int
    n_plain: int
    n_mixed: int
    mix_statistics: Literal["joint", "separate"]

    @property
    def n_samples(self) -> int:
        """Samples of a step, those of D_mix included."""
        return self.n_plain + self.n_mixed

    def split(self, n_samples: int, least: int) -> tuple[int, int]:
        """Return how many of fewer samples are of D and of D_mix, in the proportion of a step.

        Args:
            n_samples: at most those of a step.
            least: samples of each set, or all that it has, if there are as many in `n_samples`.
        """
        share = round(n_samples * self.n_mixed / self.n_samples)
        n_mixed = max(min(least, self.n_mixed), min(share, n_samples - min(least, self.n_plain)))
        return n_samples - n_mixed, n_mixed


@dataclass(frozen=True)
class StepTime:
    """How long a student's training step takes on one idle core, without the teacher's part.

    Attributes:
        float32_s: processor seconds in float32.
        gain: how many times as fast it is in bfloat16.
    """

    float32_s: float
    gain: float

    def seconds(self, precision: Precision) -> float:
        """Return processor seconds of a step in a number format."""
        return self.float32_s / self.gain if precision == "bfloat16" else self.float32_s


def faster_precision(gains: Collection[float]) -> Precision:
    """Return bfloat16 where every machine gains enough by it, else float32.

    Args:
        gains: how many times as fast as in float32 a step is in bfloat16, one number per kind of machine. All machines
            of a study train in one format, because their numbers are compared.
    """
    return "bfloat16" if gains and all(gain >= LEAST_GAIN for gain in gains) else "float32"


def default_precision(device: str) -> Precision:
    """Return the format where nothing is timed: bfloat16 on a GPU, float32 on any CPU."""
    return "bfloat16" if device == "cuda" else "float32"
