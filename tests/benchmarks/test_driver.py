"""The driver benchmark at toy size: every trial is timed once, in parts, and none is pruned."""

from benchmarks import driver


def test_the_driver_benchmark_times_every_trial(tmp_path) -> None:
    times = driver.measure(tmp_path, trials=6, window=2)
    assert len(times.whole) == 6
    assert all(taken > 0 for part in (times.ask, times.report, times.end) for taken in part)
    assert [n for n, _ in times.tpe] == [n for n, _ in times.export] == [n for n, _ in times.size] == [2, 3, 6]
    sizes = [megabytes for _, megabytes in times.size]
    assert 0 < sizes[0] <= sizes[-1] < 2
    ratio, milliseconds = driver.rows(times, window=2)
    assert (ratio.goal.bound, milliseconds.goal.bound) == (1.5, 50.0)
    assert milliseconds.ratio.low <= milliseconds.ratio.median <= milliseconds.ratio.high
    assert not (tmp_path / "tpe").exists()
