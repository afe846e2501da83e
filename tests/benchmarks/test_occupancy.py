import os
import subprocess
import sys
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.memory import Memory, proportional_bytes
from benchmarks.occupancy import Prices, judge, rows
from tests.support.watched_study import Span, WatchedStudy


@dataclass(frozen=True)
class Told(WatchedStudy):
    """A search of two trials that never ran: two epochs each, the first with a D_mix, the last evaluated."""

    taken: float = 1.0
    batch_size: int = 64

    @property
    def manifest(self) -> dict[str, Any]:
        plan = {"recipe_settings": {"batch_size": self.batch_size}}
        return {"data": {"n_train": [100, 29], "n_val": [10, 10]}, "teacher": {"views": 2}, "plan": plan}

    def epochs(self) -> list[tuple[int, int, dict[str, Any]]]:
        val = [None, {"correct": [1], "seen": [20]}]
        losses = [{"sup": 1.0, "sup_mix": 1.0}, {"sup": 1.0}]
        spent = {"train_s": self.taken, "eval_s": 0.0}
        told = [{"val": val[k], "losses": losses[k], **spent} for k in (0, 1)]
        return [(number, epoch, told[epoch - 1]) for number in (0, 1) for epoch in (1, 2)]

    def spans(self) -> list[Span]:
        # One slot: the second waits for the first, with a gap of a quarter of a second.
        return [Span(99.0, 100.0, 102.0), Span(102.125, 102.25, 104.25)]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    (tmp_path / "trials.csv").write_text("number,config/mix_ratio\n0,0.5\n1,0.75\n")
    return Told(tmp_path)


def test_a_search_is_held_against_the_price_of_its_samples(told: Told) -> None:
    found = judge(told, Prices(step=0.05, sample=0.001, plain=0.07, forward=0.01), workers=1, passes=278)
    # Two steps of 64 an epoch, in the first with 64 and 192 mixed samples; 20 images evaluated at each trial's end.
    mixing = 2 * 2 * 0.05 + 2 * (128 + 256) * 0.001
    assert found.bound_s == pytest.approx(mixing + 2 * 2 * 0.07 + 2 * 20 * 0.01)
    assert found.wall_s == pytest.approx(4.25)
    assert found.inside_s == pytest.approx(4.0)
    assert found.busy == pytest.approx(2.0 / 2.125)
    assert found.passes == pytest.approx(1.0)


def test_the_steps_are_those_of_the_studys_own_batch(told: Told) -> None:
    prices = Prices(step=0.05, sample=0.0, plain=0.05, forward=0.0)
    found = judge(replace(told, batch_size=32), prices, workers=1, passes=278)
    assert found.bound_s == pytest.approx(2 * 2 * 4 * 0.05)


@pytest.mark.parametrize(("price", "verdict"), [(0.0036, "met"), (0.0022, "not met")])
def test_the_wall_is_judged(told: Told, price: float, verdict: str) -> None:
    found = judge(told, Prices(step=0.0, sample=price, plain=64 * price, forward=0.0), workers=1, passes=278)
    assert [row.verdict for row in rows("digits_lt", found)] == [verdict, "not met", "met"]


def test_a_price_is_the_line_through_two_steps() -> None:
    found = Prices.through((80, 0.018), (280, 0.038), plain=0.5, forward=1.0)
    assert astuple(found) == pytest.approx((0.01, 0.0001, 0.5, 1.0))
    # A machine that was slower while the larger step ran: all is the samples'.
    assert Prices.through((80, 0.01), (160, 0.03), plain=0.5, forward=1.0) == Prices(0.0, 0.03 / 160, 0.5, 1.0)


def test_a_step_that_does_not_mix_has_a_price_of_its_own() -> None:
    prices = Prices(step=0.01, sample=0.001, plain=0.05, forward=0.0)
    assert (prices.of_step(32, 32), prices.of_step(32, 0)) == (pytest.approx(0.01 + 64 * 0.001), 0.05)


def test_the_wall_is_told_at_the_prices_of_before_and_after(told: Told) -> None:
    found = judge(told, Prices(step=0.0, sample=0.002, plain=0.128, forward=0.0), workers=1, passes=278)
    ratio = replace(found, bounds_s=(found.bound_s / 2, found.bound_s * 2)).ratio
    assert (ratio.low, ratio.high) == pytest.approx((ratio.median / 2, ratio.median * 2))
    assert found.ratio.low == found.ratio.high == found.ratio.median


def test_memory_of_three_more_trials_is_held_against_three_bare_processes() -> None:
    assert Memory(one=1000, four=1600, bare=400).ratio.median == 0.5


def test_an_ended_process_has_no_memory() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert proportional_bytes(process.pid) == 0
    assert proportional_bytes(os.getpid()) > 0
