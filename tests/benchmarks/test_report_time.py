"""What a report is said to take is its own."""

import sys

import pytest

from benchmarks.report_time import simulated, watched

_ALLOCATE = "import sys; held = bytearray(int(sys.argv[1])); held[::4096] = bytes([1]) * len(held[::4096])"


def test_memory_of_the_measuring_process_is_not_counted() -> None:
    held = bytearray(500_000_000)
    held[::4096] = bytes([1]) * len(held[::4096])
    small = watched([sys.executable, "-c", _ALLOCATE, "4096"])
    large = watched([sys.executable, "-c", _ALLOCATE, "200000000"])
    assert small["peak_gb"] < 0.1
    assert 0.15 < large["peak_gb"] - small["peak_gb"] < 0.25
    assert large["wall_s"] > 0 < large["cpu_s"]


def test_a_command_that_fails_ends_the_measurement() -> None:
    with pytest.raises(SystemExit, match="ended with 3"):
        watched([sys.executable, "-c", "raise SystemExit(3)"])


def test_many_classes_have_a_long_tail() -> None:
    plan = simulated(40, 200)
    assert (len(plan.classes), plan.counts[0], plan.counts[-1]) == (200, 500, 5)
    assert list(plan.counts) == sorted(plan.counts, reverse=True)
    assert len(simulated(40).classes) == 10
