"""How long a student's training step takes on a core of this machine, in float32 and in bfloat16, timed.

The steps are a learner's own: its passes over D and D_mix, loss, backward pass and optimiser, on one batch of noise and
without a teacher.
Blocks of steps in both formats take turns, so that whatever else the machine does meets both alike. What counts is this
process's own processor time, which is that of an idle core even where the cores are busy.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median

import torch

from trainables.cckd.batches.steps import StepBatch
from trainables.cckd.config import TrialConfig
from trainables.cckd.losses.objective import Objective
from trainables.cckd.losses.targets import Targets
from trainables.cckd.precision import PRECISIONS, Precision, StepShape, StepTime
from trainables.cckd.training.allocator import keep_freed_memory
from trainables.cckd.training.learner import Learner

#: Processor seconds of all timed blocks; the least number of turns, for steps that are long beside that.
_SECONDS, _LEAST_TURNS = 1.0, 3
#: Processor seconds of a block in float32: a short step is repeated, and a long one gets fewer samples.
_SHORTEST_BLOCK_S, _LONGEST_STEP_S = 0.03, 0.15
#: Samples of each set in the first step: BatchNorm takes no fewer where a channel has one pixel left.
_FEW_SAMPLES = 2
#: How many times as many the next steps have, until one is long enough or whole.
_GROWTH = 8
#: Times as many samples that are worth the warm-up of another batch.
_WORTH_IT = 1.5
#: Steps before the first one that counts: memory is allocated and kernels are chosen in them.
_WARM_UP = 2

Step = Callable[[], object]


def time_step(shape: StepShape) -> StepTime:
    """Time a step in both formats, on one thread; takes a second or two.

    The process has one thread and keeps its freed memory from here on, as that of a trial, so it should do nothing
    else.

    Raises:
        ConfigError: a student that cannot be built for such images.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    mixing = {"method": "la_mix", "mix_statistics": shape.mix_statistics}
    config = TrialConfig.build({**(mixing if shape.n_mixed else {"method": "la"}), "student": shape.student})
    learners = {precision: _learner(config, shape, precision) for precision in PRECISIONS}

    def steps_on(n_samples: int) -> dict[Precision, Step]:
        batch = _noise(shape, n_samples)
        return {precision: partial(own.step, batch, 0.0) for precision, own in learners.items()}

    return timed(steps_on, shape.n_samples, few=_FEW_SAMPLES * (2 if shape.n_mixed else 1))


def timed(
    steps_on: Callable[[int], Mapping[Precision, Step]],
    n_samples: int,
    *,
    few: int = _FEW_SAMPLES,
    clock: Callable[[], float] = time.process_time,
) -> StepTime:
    """Return medians, over turns, of a step's seconds in float32 and of these over its seconds in bfloat16.

    Args:
        steps_on: returns a step in each format, on a number of samples.
        n_samples: samples of a step. Fewer are taken where a step takes too long, and its seconds are scaled up.
        few: samples of the first step.
        clock: of the process, in seconds.
    """
    n = min(n_samples, few)
    steps = steps_on(n)
    step_s = _warmed_up(steps, clock)
    while (more := min(n_samples, _GROWTH * n, int(n * _LONGEST_STEP_S / step_s))) > _WORTH_IT * n:
        n, steps = more, steps_on(more)
        step_s = _warmed_up(steps, clock)
    n_steps = max(1, round(_SHORTEST_BLOCK_S / step_s))
    end, turns = clock() + _SECONDS, list[dict[Precision, float]]()
    while len(turns) < _LEAST_TURNS or clock() < end:
        turns.append({precision: _seconds(steps[precision], n_steps, clock) for precision in PRECISIONS})
    float32_s = median(turn["float32"] for turn in turns) / n_steps
    return StepTime(float32_s * n_samples / n, median(turn["float32"] / turn["bfloat16"] for turn in turns))


def _warmed_up(steps: Mapping[Precision, Step], clock: Callable[[], float]) -> float:
    """Take the first steps in both formats; return the seconds of one more in float32."""
    for step in steps.values():
        _seconds(step, _WARM_UP, clock)
    return _seconds(steps["float32"], 1, clock)


def _seconds(step: Step, n_steps: int, clock: Callable[[], float]) -> float:
    started = clock()
    for _ in range(n_steps):
        step()
    return max(clock() - started, 1e-9)  # a clock may be too coarse for a step


def _learner(config: TrialConfig, shape: StepShape, precision: Precision) -> Learner:
    counts = torch.ones(shape.n_classes, dtype=torch.int64)
    prior = torch.full((shape.n_classes,), 1.0 / shape.n_classes, dtype=torch.float64)
    return Learner(
        config,
        Objective(config, counts, prior.log(), n_mixed=shape.n_mixed),
        n_classes=shape.n_classes,
        image_shape=(shape.in_chans, shape.image_size, shape.image_size),
        n_teacher_features=0,
        device=torch.device("cpu"),
        precision=precision,
    )


def _noise(shape: StepShape, n_samples: int) -> StepBatch:
    noise = torch.Generator().manual_seed(0)
    images = torch.randn(n_samples, shape.in_chans, shape.image_size, shape.image_size, generator=noise)
    n_plain, n_mixed = shape.split(n_samples, _FEW_SAMPLES)
    plain = Targets(torch.arange(n_plain) % shape.n_classes)
    mixed = Targets(torch.full((n_mixed, shape.n_classes), 1.0 / shape.n_classes)) if n_mixed else None
    return StepBatch(images.contiguous(memory_format=torch.channels_last), plain, mixed)
