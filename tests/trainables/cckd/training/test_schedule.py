import math
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.cckd.config import Schedule
from trainables.cckd.training.schedule import WARM_UP, learning_rate


@pytest.mark.parametrize("total_steps", [8, 40, 161])
def test_one_cycle_is_torchs_one_cycle(total_steps: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.2, total_steps=total_steps, pct_start=WARM_UP, cycle_momentum=False
    )
    for step in range(total_steps):
        assert learning_rate(step, total_steps, 0.2, "one_cycle") == pytest.approx(theirs.get_last_lr()[0])
        if step + 1 < total_steps:
            optimizer.step()
            theirs.step()


def test_cosine_falls_from_the_peak_through_half_of_it_towards_zero() -> None:
    assert learning_rate(0, 10, 0.4, "cosine") == pytest.approx(0.4)
    assert learning_rate(5, 10, 0.4, "cosine") == pytest.approx(0.2)
    assert learning_rate(9, 10, 0.4, "cosine") == pytest.approx(0.2 * (1 + math.cos(0.9 * math.pi)))


def test_step_climbs_for_5_of_200_epochs_and_falls_to_a_hundredth_after_160_and_180() -> None:
    rates = [learning_rate(step, 20 * 200, 0.1, "step") for step in range(20 * 200)]
    assert rates[0] == pytest.approx(0.1 / 100)
    assert rates[49] == pytest.approx(0.1 / 2)
    assert set(rates[100 : 20 * 160]) == {0.1}
    assert {round(rate, 12) for rate in rates[20 * 160 : 20 * 180]} == {1e-3}
    assert {round(rate, 12) for rate in rates[20 * 180 :]} == {1e-5}


@pytest.mark.parametrize("kind", get_args(Schedule))
@given(total_steps=st.integers(1, 200), data=st.data())
def test_a_rate_is_positive_and_never_above_the_peak(kind: Schedule, total_steps: int, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, total_steps - 1))
    assert 0 < learning_rate(step, total_steps, 0.3, kind) <= 0.3 * (1 + 1e-12)


@pytest.mark.parametrize("total_steps", [1, 2, 3, 4])
def test_very_short_trials_start_at_the_peak(total_steps: int) -> None:
    assert learning_rate(0, total_steps, 0.3, "one_cycle") == pytest.approx(0.3)
