"""The epoch benchmark at toy size: it runs, and compares what it says it compares."""

from collections.abc import Callable

import pytest
import torch

from benchmarks import epoch
from benchmarks.bare import SETTINGS
from benchmarks.shapes import SHAPES, Shape, random_trial_data
from tests.support.passes import watch_passes
from trainables.cckd.data.spec import parse_data
from trainables.cckd.precision import StepTime

TOY = Shape(n_max=6, ir=2, size=8, padding=1, val_per_class=1)


def test_the_epoch_benchmark_measures_every_contender_each_turn() -> None:
    threads = torch.get_num_threads()
    try:
        times = epoch.measure(TOY, turns=2, batch_size=8)
    finally:
        torch.set_num_threads(threads)
    assert {len(taken) for taken in times.seconds.values()} == {2}
    assert all(taken > 0 for each in times.seconds.values() for taken in each)
    assert times.bound.startswith("bare")
    assert [row.bound for row in epoch.rows("digits_lt", times)] == ["at most 1.15", "at most 1.1"]
    assert [row.bound for row in epoch.rows("toy", times)] == ["at most 1.05", "at most 1.05"]


def test_the_student_makes_the_same_passes_in_every_contender(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, list[int]] = {}

    def run_each(contenders: dict[str, Callable[[], object]], turns: int, **_: object) -> dict[str, list[float]]:
        seen = watch_passes(monkeypatch)
        for name, run in contenders.items():
            run()
            made[name] = seen.copy()
            seen.clear()
        return {name: [1.0] * turns for name in contenders}

    monkeypatch.setattr(epoch, "take_turns", run_each)
    monkeypatch.setattr(epoch, "time_step", lambda shape: StepTime(1.0, 1.0))
    threads = torch.get_num_threads()
    try:
        epoch.measure(TOY, turns=1, batch_size=8)
    finally:
        torch.set_num_threads(threads)
        epoch._precision_here.cache_clear()
    n_steps = len(random_trial_data(TOY).train_labels) // 8
    assert {"acckd", "student only", *SETTINGS["cpu"]} == made.keys()
    assert all(passes == n_steps * [8, 8] for passes in made.values())


@pytest.mark.parametrize("name", SHAPES)
def test_random_data_has_the_real_sets_counts(name: str) -> None:
    data = random_trial_data(SHAPES[name])
    assert tuple(data.counts) == parse_data(name).tail(data.n_classes)
