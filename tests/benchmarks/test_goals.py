import json
from pathlib import Path

import pytest

from benchmarks.goals import Goal, Row, table
from benchmarks.record import hardware_name, write_results
from benchmarks.timing import Ratio


def test_a_goal_is_judged_by_the_median_and_its_bound_is_met_by_equality() -> None:
    assert Goal("at most", 1.05).met(Ratio(1.05, 0.9, 3.0))
    assert not Goal("at most", 1.05).met(Ratio(1.06, 0.9, 1.2))
    assert Goal("at least", 8.0).met(Ratio(8.0, 1.0, 9.0))
    assert not Goal("at least", 8.0).met(Ratio(7.9, 1.0, 9.0))


def test_a_run_too_short_is_not_judged() -> None:
    goal, ratio = Goal("at least", 8.0), Ratio(2.0, 2.0, 2.0)
    assert Row("x", goal, ratio).verdict == "not met"
    assert Row("x", goal, ratio, judged=False).verdict == "too short to judge"


def test_the_table_has_a_line_a_row_with_goal_ratio_and_verdict() -> None:
    lines = table([Row("epoch", Goal("at most", 1.05), Ratio(1.02, 0.98, 1.1))]).splitlines()
    assert len(lines) == 3
    assert lines[2] == "| epoch | at most 1.05 | 1.02 (0.98 to 1.10) | met |"


def test_results_are_kept_as_json_named_after_the_hardware_with_raw_turns(tmp_path: Path) -> None:
    row = Row("epoch", Goal("at most", 1.05), Ratio(1.02, 0.98, 1.1))
    path = write_results(tmp_path / "results", [row], {"epoch": {"a": [1.0, 2.0]}}, load_before=0.5)
    kept = json.loads(path.read_text())
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
