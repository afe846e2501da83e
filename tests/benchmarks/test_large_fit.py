"""What the benchmark of a large fit reads and judges; its way is walked on a set of seconds."""

from pathlib import Path

import pytest

from benchmarks import large_fit
from benchmarks.large_fit import Judged, Way, agreement, agreement_rows, measure_way, named_seconds, way_rows
from benchmarks.simulated_features import SimulatedSet


@pytest.mark.parametrize(("said", "seconds"), [("45 s", 45.0), ("7 min", 420.0), ("2 h 05 min", 7500.0), (None, None)])
def test_the_time_that_a_dry_run_names_is_read_over_line_ends(said: str | None, seconds: float | None) -> None:
    text = "estimate  about 6 min of one core's student training\n          about 3 s of teacher passes\n"
    if said:
        text += f"          about {said} of the teacher's\n          fit at this machine's speed"
    assert named_seconds(text) == seconds


WAY = Way(seconds=1200, fit_s=600, n_kills=2, peak_gb=4.0, peak_with_file_gb=9.0, val_balanced_accuracy=0.6)


def test_only_the_full_size_is_judged_by_its_minutes() -> None:
    verdicts = [row.verdict for row in way_rows("imagenet_lt", 1.0, 500.0, WAY)]
    assert verdicts == ["not met", "met", "met", "not met"]
    assert way_rows("imagenet_lt", 0.1, None, WAY)[0].verdict == "too short to judge"
    assert len(way_rows("imagenet_lt", 0.1, None, WAY)) == 3


def test_a_worse_fit_fails_and_a_better_one_does_not() -> None:
    fits = {"as a study": Judged(0.1, 1.02, 60.0, 9, 9), "to the end": Judged(0.1, 1.0, 60.31, 9, 9)}
    assert [row.verdict for row in agreement_rows("x", fits)] == ["not met", "not met"]
    fits["to the end"] = Judged(0.1, 1.1, 59.0, 9, 9)
    assert [row.verdict for row in agreement_rows("x", fits)] == ["met", "met"]


def test_a_study_agrees_with_a_fit_to_the_end() -> None:
    size = SimulatedSet(10, 400, 120, 2, 20, n_features=24, n_views=4)
    fits = agreement(size, every_view=True)
    assert list(fits) == ["as a study", "to the end", "every view, to the end"]
    assert fits["to the end"].iterations > fits["as a study"].iterations
    first, second, *_ = agreement_rows("small", fits)
    assert (first.verdict, second.verdict) == ("met", "met")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_small_set_walks_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_fit, "KILL_AT", ())  # its steps take less than is worth keeping
    named_s, way = measure_way(tmp_path, "tiny", 1.0)
    assert named_s is None
    assert way.n_kills == 0
    assert 0 < way.fit_s <= way.seconds
    assert 0.1 < way.peak_gb < 8
    assert way.val_balanced_accuracy > 0.3
