import json
from pathlib import Path

import pytest

from benchmarks import page


def test_the_page_holds_the_tables_that_the_result_files_give() -> None:
    text = page.PAGE.read_text()
    assert page.with_tables(text) == text, "docs/performance.md is out of date; run: python -m benchmarks.page"


@pytest.mark.parametrize(("older", "newer"), [("full", "quick"), ("quick", "full")])
def test_of_two_measurements_on_one_machine_the_newer_stands(tmp_path: Path, older: str, newer: str) -> None:
    hardware = {"cpu": "Some Processor", "cores": 2, "memory_gb": 8, "gpu": None}
    for what, date, median in ((older, "2026-11-27", 51.0), (newer, "2026-11-30", 15.0)):
        ratio = {"median": median, "low": median, "high": median}
        goal = {"sense": "at most", "bound": 15.0}
        goals = [{"what": "report of 500 trials, seconds", "goal": goal, "ratio": ratio, "judged": True}]
        found = {"date": date, "hardware": hardware, "goals": goals, "raw": {}}
        (tmp_path / f"{what}-some-{date}.json").write_text(json.dumps(found))
    (row,) = (line for line in page.tables(tmp_path).splitlines() if line.startswith("| report of 500 trials, seconds"))
    assert row.endswith("2026-11-30 |")
    assert "| 15 |" in row


def _written(folder: Path, goals: list[dict[str, object]]) -> list[list[str]]:
    """The cells of the table of one result file, written when other goals held."""
    hardware = {"cpu": "Some Processor", "cores": 2, "memory_gb": 8, "gpu": None}
    found = {"date": "2026-11-27", "hardware": hardware, "goals": goals, "raw": {}}
    (folder / "full-some-2026-11-27.json").write_text(json.dumps(found))
    rows = [line.strip("| ").split(" | ") for line in page.tables(folder).splitlines() if "`make bench`" in line]
    return [cells[:4] for cells in rows]


def test_a_stored_ratio_is_judged_by_the_goal_of_today(tmp_path: Path) -> None:
    def stored(what: str, sense: str, bound: float, value: float) -> dict[str, object]:
        ratio = {"median": value, "low": value, "high": value}
        return {
            "what": what,
            "goal": {"sense": sense, "bound": bound},
            "ratio": ratio,
            "judged": True,
            "verdict": "met",
        }

    faster = "fashion_mnist_lt: study against peer script, {} trials of {} epochs, times faster"
    goals = [
        stored("digits_lt: epoch / bare compute (bare bfloat16)", "at most", 1.05, 1.12),
        stored("report of 500 trials, seconds", "at most", 60, 51.9),
        stored("abandoned: something / something", "at most", 2, 1.0),
        stored(faster.format(32, 20), "at least", 8, 8.1),
        stored(faster.format(25, 60), "at least", 8, 8.1),
    ]
    assert _written(tmp_path, goals) == [
        ["abandoned: something / something", "-", "1", "-"],
        ["digits_lt: epoch / bare compute", "at most 1.15", "1.12", "met"],
        [faster.format(25, 60), "at least 10", "8.1", "not met"],
        [faster.format(32, 20), "at least 10", "8.1", "too short to judge"],
        ["report of 500 trials, seconds", "at most 15", "51.9", "not met"],
    ]


def test_a_page_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold the lines"):
        page.with_tables("no markers")


def test_signals_are_told_apart_from_kills(tmp_path: Path) -> None:
    part = {"n": 60, "orphans": 1, "first_step_s": [], "lost_s": [], "ended": 0, "faults": ["SIGHUP: exit code 1"]}
    hardware = {"cpu": "Some Processor", "cores": 2, "memory_gb": 8, "gpu": None}
    found = {"date": "2026-11-30", "hardware": hardware, "goals": [], "raw": {"parts": {"signals": part}}}
    (tmp_path / "soak-full-signals-some-2026-11-30.json").write_text(json.dumps(found))
    (row,) = (line for line in page.tables(tmp_path).splitlines() if "left behind" in line)
    assert row.startswith("| 60 signals in every phase: faults and processes left behind | at most 0 | 2 | not met |")
    assert "`make soak ARGS='--only signals'`, 2026-11-30" in row
