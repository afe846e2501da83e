import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from benchmarks import (
    driver,
    epoch,
    large_fit,
    memory,
    occupancy,
    page,
    report_time,
    start,
    streaming,
    study_wall,
    time_budget,
    turnover,
)
from benchmarks.goals import GOALS, Goal, Row, table
from benchmarks.record import hardware_name, write_results
from benchmarks.timing import Ratio

RATIO = Ratio.single(1.0)


def made_rows() -> list[Row]:
    """Rows of every benchmark that has goals, and of the page for the soak."""
    seconds = {"--help": [1.0], "--dry-run": [1.0], "study.status": [1.0], "first step": [1.0]}
    ways = {f"{way}, {source}": [1.0] for way in ("bare", "stream", "fed") for source in ("originals", "image store")}
    times = epoch.EpochTimes({"acckd": [1.0], "student only": [1.0], "bare x": [1.0]})
    parts = [1.0] * 6
    of_driver = driver.DriverTimes(parts, parts, parts, parts, parts, [], [], [])
    fits = {"as a study": large_fit.Judged(1, 1, 1, 1, 1), "to the end": large_fit.Judged(1, 1, 1, 1, 1)}
    way, peers = large_fit.Way(1, 1, 2, 1, 1, 1), {name: [1.0] for name in ("study", *study_wall.PEERS)}
    killed = {"n": 1, "orphans": 0, "faults": [], "first_step_s": [1.0], "lost_s": [1.0]}
    return [
        *(row for data in ("digits_lt", "fashion_mnist_lt") for row in epoch.rows(data, times)),
        *driver.rows(of_driver, window=2),
        *start.rows("digits_lt", seconds),
        *(row for data in ("digits_lt", "fashion_mnist_lt") for row in occupancy.rows(data, OCCUPANCY)),
        *memory.rows("digits_lt", memory.Memory(1, 2, 1)),
        *turnover.rows(turnover.Turnover(1.0, 1.0, 1.0, [0.1] * 4, 0.5, 2, 1.0)),
        *report_time.rows({"trials": 500, "classes": 10, "wall_s": 1.0, "peak_gb": 1.0, "page_mb": 1.0}),
        *study_wall.rows(study_wall.Budget("digits_lt", 2, 4), peers),
        *streaming.rows(ways, ways, 1000, 1.0),
        *large_fit.way_rows("imagenet_lt", 1.0, 1.0, way),
        *large_fit.agreement_rows("imagenet_lt x 0.1", fits),
        *time_budget.rows(480.0, 8.0, 77.0, 3),
        *page.soak_rows({"signals": killed, "drivers": killed}),
    ]


OCCUPANCY = occupancy.Occupancy(1.0, 1.0, 1.0, 1.0, 1.0, 2)


def test_every_goal_is_that_of_a_row_that_a_benchmark_makes_today() -> None:
    rows = made_rows()
    fitting = {row.what: next((name for name in GOALS if fnmatchcase(row.what, name)), None) for row in rows}
    assert set(GOALS) == set(fitting.values()) - {None}
    assert {what for what, name in fitting.items() if name is None} == {
        "after a kill of the driver: unsaved work, s, the most"
    }


@pytest.mark.parametrize(
    ("what", "goal"),
    [
        ("digits_lt: epoch / bare compute (bare bfloat16)", "at most 1.15"),
        ("fashion_mnist_lt: epoch / bare compute (bare bfloat16)", "at most 1.05"),
        ("digits_lt: cached-teacher epoch / student-only epoch", "at most 1.1"),
        ("cifar100_lt: cached-teacher epoch / student-only epoch", "at most 1.05"),
        ("report of 500 trials, seconds", "at most 15"),
        ("report of 1000 trials of 200 classes, seconds", "-"),
        ("digits_lt: command to first step, s", "at most 8"),
        ("fashion_mnist_lt: study against peer script, 32 trials of 20 epochs, times faster", "at least 10"),
        ("fashion_mnist_lt: study against careful Optuna, 8 trials of 60 epochs, times faster", "at least 3"),
        ("inat2018 x 0.1: features to first trial, two kills, min", "-"),
        ("time taken / --max-hours, slowed after 77 s", "within 0.05 of 1"),
        ("streamed / bare decoder, images a second", "-"),
    ],
)
def test_the_goal_of_a_name_is_that_of_its_data_set_and_size(what: str, goal: str) -> None:
    assert Row(what, RATIO).bound == goal


def test_a_goal_is_judged_by_the_median_and_its_bound_is_met_by_equality() -> None:
    assert Goal("at most", 1.05).met(Ratio(1.05, 0.9, 3.0))
    assert not Goal("at most", 1.05).met(Ratio(1.06, 0.9, 1.2))
    assert Goal("at least", 8.0).met(Ratio(8.0, 1.0, 9.0))
    assert not Goal("at least", 8.0).met(Ratio(7.9, 1.0, 9.0))
    assert [Goal("within", 0.05).met(Ratio.single(value)) for value in (0.94, 0.95, 1.05, 1.06)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_a_run_too_short_is_not_judged() -> None:
    what = "digits_lt: study against peer script, 2 trials of 4 epochs, times faster"
    assert Row(what, Ratio.single(2.0)).verdict == "not met"
    assert Row(what, Ratio.single(2.0), judged=False).verdict == "too short to judge"
    assert Row("no goal", Ratio.single(2.0), judged=False).verdict == "-"


def test_the_table_has_a_line_a_row_with_goal_ratio_and_verdict() -> None:
    lines = table([Row("report of 500 trials, GB", Ratio(1.02, 0.98, 1.1))]).splitlines()
    assert len(lines) == 3
    assert lines[2] == "| report of 500 trials, GB | at most 2 | 1.02 (0.98 to 1.10) | met |"


def test_results_are_kept_as_json_named_after_the_hardware_with_raw_turns(tmp_path: Path) -> None:
    rows = [Row("report of 500 trials, GB", Ratio(1.02, 0.98, 1.1)), Row("no goal", Ratio.single(1.0))]
    path = write_results(tmp_path / "results", rows, {"epoch": {"a": [1.0, 2.0]}}, load_before=0.5)
    kept = json.loads(path.read_text())
    assert [row["goal"] for row in kept["goals"]] == [{"sense": "at most", "bound": 2.0}, None]
    assert kept["raw"] == {"epoch": {"a": [1.0, 2.0]}}
    assert kept["goals"][0]["verdict"] == "met"
    assert kept["goals"][0]["ratio"] == {"median": 1.02, "low": 0.98, "high": 1.1}
    assert kept["load_before"] == 0.5
    assert "torch" in kept["versions"]
    assert path.name == f"{hardware_name(kept['hardware'])}-{kept['date']}.json"


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ({"cpu": "AMD EPYC", "cores": 2, "gpu": None}, "amd-epyc-2-cores"),
        ({"cpu": "Intel(R) Xeon(R) CPU @ 2.20GHz", "cores": 8, "gpu": "NVIDIA H100"}, None),
    ],
)
def test_the_hardware_name_is_safe_in_a_file_name(machine: dict[str, object], name: str | None) -> None:
    found = hardware_name(machine)
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert name is None or found == name
