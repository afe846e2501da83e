"""Steps in both number formats are timed in turns: what is measured is their own ratio, whatever else takes time."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.passes import watch_passes
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig, step_shape
from trainables.cckd.errors import ConfigError
from trainables.cckd.precision import PRECISIONS, Precision, StepShape, StepTime
from trainables.cckd.training import step_times
from trainables.cckd.training.step_times import time_step, timed
from trainables.cckd.training.trainer import Trainer

SHAPE = StepShape("resnet8_cifar", 3, 1, 8, n_plain=3, n_mixed=3, mix_statistics="separate")


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

    def timed(self, n_samples: int, **few: int) -> StepTime:
        return timed(self.steps_on, n_samples, clock=self.clock, **few)


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


def test_the_first_step_has_the_fewest_samples_that_are_asked_for() -> None:
    played = Played(1e-3, dict.fromkeys(PRECISIONS, 1e-4))
    played.timed(128, few=4)
    assert {n for _, n in played.taken} == {4, 32, 128}


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
        time_step(StepShape("no_such_student", 3, 1, 8, 6, 0, "separate"))


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({"method": "acckd"}, [10, 10]),
        ({"method": "acckd", "mix_ratio": 0.75}, [10, 30]),
        ({"method": "kd_mix", "mix_statistics": "joint"}, [20]),
        ({"method": "cckd"}, [10]),
        ({"method": "acckd", "mix_ratio": 0.0}, [10]),
    ],
)
@pytest.mark.usefixtures("one_thread")
def test_a_timed_step_makes_the_passes_of_a_trained_one(
    trial_data: TrialData, changes: dict[str, Any], passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrialConfig.build({"batch_size": 10, **changes})
    seen = watch_passes(monkeypatch)
    next(Trainer(config, trial_data).steps())
    trained = seen.copy()

    def one_step_each(steps_on: Callable[[int], Any], n_samples: int, **_: Any) -> StepTime:
        for step in steps_on(n_samples).values():
            seen.clear()
            step()
            assert seen == trained
        return StepTime(1.0, 1.0)

    monkeypatch.setattr(step_times, "timed", one_step_each)
    time_step(step_shape(config, trial_data.n_classes, trial_data.image_shape))
    assert trained == passes
