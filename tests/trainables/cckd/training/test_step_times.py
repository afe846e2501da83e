"""Steps in both number formats are timed in turns: what is measured is their own ratio, whatever else takes time."""

from collections.abc import Callable, Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.cckd.errors import ConfigError
from trainables.cckd.precision import PRECISIONS, Precision, StepShape, StepTime
from trainables.cckd.training.step_times import time_step, timed

SHAPE = StepShape("resnet8_cifar", n_classes=3, in_chans=1, image_size=8, n_samples=6)


class Played:
    """A clock that steps move: one of n samples takes `start` and `a_sample` seconds for each, by format.

    `jumps` are extra seconds of the steps that have these numbers.
    """

    def __init__(self, start: float, a_sample: Mapping[Precision, float], jumps: Mapping[int, float] = {}) -> None:
        self.now, self.start, self.a_sample, self.jumps = 0.0, start, a_sample, jumps
        self.taken: list[tuple[Precision, int]] = []

    def clock(self) -> float:
        return self.now

    def steps_on(self, n: int) -> dict[Precision, Callable[[], None]]:
        def take(precision: Precision) -> None:
            self.now += self.start + n * self.a_sample[precision] + self.jumps.get(len(self.taken), 0.0)
            self.taken.append((precision, n))

        return {precision: lambda precision=precision: take(precision) for precision in PRECISIONS}

    def timed(self, n_samples: int) -> StepTime:
        return timed(self.steps_on, n_samples, clock=self.clock)


@given(st.floats(1e-6, 10), st.floats(0.1, 10), st.integers(1, 512))
def test_the_time_is_of_all_samples_and_the_gain_is_the_ratio(a_sample: float, gain: float, n_samples: int) -> None:
    played = Played(0.0, {"float32": a_sample, "bfloat16": a_sample / gain})
    found = played.timed(n_samples)
    assert (found.float32_s, found.gain) == (pytest.approx(n_samples * a_sample), pytest.approx(gain))
    last = played.taken[-1][1]
    assert 1 <= last <= n_samples
    taken = [precision for precision, n in played.taken if n == last]
    assert taken.count("bfloat16") >= 3, "three turns at least"


@given(st.floats(1e-6, 1), st.integers(1, 512))
def test_all_steps_take_a_second_or_two_and_long_ones_a_few_samples(a_sample: float, n_samples: int) -> None:
    played = Played(1e-4, dict.fromkeys(PRECISIONS, a_sample))
    played.timed(n_samples)
    longest = max(1e-4 + n * a_sample for _, n in played.taken)
    assert longest <= max(0.15 + 2e-4, 1e-4 + 2 * a_sample)
    assert played.now <= 1 + (3 * 5 + 2) * longest + 2 * max(longest, 0.03 + longest)


def test_a_step_that_is_short_enough_has_all_its_samples() -> None:
    played = Played(1e-3, {"float32": 2e-4, "bfloat16": 1e-4})
    assert played.timed(128).gain == pytest.approx((1e-3 + 128 * 2e-4) / (1e-3 + 128 * 1e-4))


def test_a_machine_that_stumbles_changes_neither_time_nor_gain() -> None:
    jumps = dict.fromkeys(range(20, 2000, 23), 0.5)
    played = Played(0.0, {"float32": 8e-4, "bfloat16": 4e-4}, jumps)
    found = played.timed(64)
    assert (found.gain, found.float32_s) == (pytest.approx(2.0, rel=0.01), pytest.approx(64 * 8e-4))


@pytest.mark.usefixtures("one_thread")
def test_a_real_student_has_a_time_and_no_random_number_is_drawn() -> None:
    before = torch.get_rng_state()
    found = time_step(SHAPE)
    assert 0 < found.float32_s < 10
    assert 0 < found.gain < 100
    assert torch.equal(torch.get_rng_state(), before)


def test_a_student_that_cannot_be_built_is_refused() -> None:
    with pytest.raises(ConfigError, match="no_such_student"):
        time_step(StepShape("no_such_student", 3, 1, 8, 6))
