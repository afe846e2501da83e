"""What a report is said to take is its own."""

import sys
from pathlib import Path

import pytest

from benchmarks import report_time
from benchmarks.report_time import main, simulated, watched

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


@pytest.mark.parametrize(("trials", "wall_s", "code"), [(500, 14.0, 0), (500, 16.0, 1), (1000, 16.0, 0)])
def test_only_the_usual_report_can_miss_a_goal(
    trials: int, wall_s: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = {"wall_s": wall_s, "cpu_s": 1.0, "peak_gb": 1.0, "page_mb": 1.0}
    found = {"trials": trials, "epoch_rows": 1, "classes": 10, **taken}
    monkeypatch.setattr(report_time, "measure", lambda n_trials, n_classes: found)
    monkeypatch.setattr(report_time, "RESULTS", tmp_path)
    assert main(["--trials", str(trials)]) == code


def test_many_classes_have_a_long_tail() -> None:
    plan = simulated(40, 200)
    assert (len(plan.classes), plan.counts[0], plan.counts[-1]) == (200, 500, 5)
    assert list(plan.counts) == sorted(plan.counts, reverse=True)
    assert len(simulated(40).classes) == 10
