"""The epoch benchmark at toy size: it runs, and compares what it says it compares."""

import pytest
import torch

from benchmarks import epoch
from benchmarks.shapes import SHAPES, Shape, random_trial_data
from trainables.cckd.data.spec import parse_data

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


def test_a_ratio_of_epochs_counts_student_samples_not_epochs() -> None:
    times = epoch.EpochTimes({"whole": [4.0], "half": [1.0]}, {"whole": 200, "half": 100})
    assert times.ratio("whole", "half").median == 2.0


@pytest.mark.parametrize("name", SHAPES)
def test_random_data_has_the_real_sets_counts(name: str) -> None:
    data = random_trial_data(SHAPES[name])
    assert tuple(data.counts) == parse_data(name).tail(data.n_classes)
