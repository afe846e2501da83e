"""What a terminal shows of studies."""

from datetime import UTC, datetime, timedelta

import pytest

from study.overview import text
from study.overview.driver import Driver
from study.overview.runs_done import Best
from study.overview.study_state import PhaseState, StudyState
from study.overview.text import details, table

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SIGN = (NOW - timedelta(minutes=3)).isoformat()
RUNNING = StudyState(
    folder="/runs/first",
    state="running",
    phase="search",
    data="digits_lt:ir=50",
    space="toy",
    started="2026-01-01T00:00:00+00:00",
    seconds_left=600.0,
    last_sign=SIGN,
    driver=Driver("here", 17, SIGN, alive=True),
    phases=(PhaseState("search", 7, 1, 12), PhaseState("tune la", 0, 0, 12)),
    best=Best(3, 0.8125, 0.004, 3),
    unfinished={"search trial 8": 5, "candidate-trial3-seed9": None},
    failures=tuple(f"kd-seed{k}: hung" for k in range(7)),
    warnings=("images are shared",),
)
STOPPED = StudyState(
    folder="/runs/second, a long name",
    state="stopped",
    phase="confirm",
    driver=Driver("there", 18, SIGN, alive=False),
    last_sign=SIGN,
)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_now", lambda: NOW)


def test_the_table_has_one_aligned_row_per_study() -> None:
    head, *rows = table([RUNNING, STOPPED]).splitlines()
    assert [row[head.index("state") :].split()[0] for row in rows] == ["running", "stopped"]
    assert rows[0].split()[2:] == ["search", "7/12,", "1", "failed", "0.812", "±", "0.004", "10", "min", "3", "min", "ago", "here", "17"]  # fmt: skip  # noqa: E501
    assert "there" not in rows[1], "a driver that is gone drives nothing"


def test_one_study_is_told_line_by_line() -> None:
    lines = details(RUNNING).splitlines()
    assert lines[:2] == [
        "study    /runs/first",
        "state    running in phase search; process 17 on here, last sign 3 min ago",
    ]
    assert "phase    search   7/12, 1 failed" in lines
    assert "phase    tune la  0/12" in lines
    assert "best     trial 3: 0.812 ± 0.004 on D_val over 3 fresh runs (mean and standard error)" in lines
    assert "now      search trial 8: 5 epochs" in lines
    assert "left     about 10 min in this phase" in lines
    assert "NOTE     images are shared" in lines
    assert lines[-1] == "failed   and 2 more"


def test_a_stopped_study_names_its_last_driver_and_how_to_go_on() -> None:
    lines = details(STOPPED).splitlines()
    assert lines[1] == "state    stopped in phase confirm; its last driver was process 18 on there, last sign 3 min ago"
    assert lines[-1] == "resume   python -m study.resume '/runs/second, a long name'"


def test_a_value_of_the_search_is_not_told_as_a_result() -> None:
    single = StudyState("/runs/x", "running", best=Best(4, 0.9, None, 0))
    assert "the highest of all trials and so too high" in details(single)


def test_what_is_long_ago_is_told_by_its_date() -> None:
    old = StudyState("/runs/x", "done", last_sign="2025-12-01T10:00:00+00:00")
    assert details(old).splitlines()[1] == "state    done, last sign on 2025-12-01"


def test_damage_is_told_once() -> None:
    damaged = StudyState("/runs/x", "damaged", fault="study.json: it holds no JSON object")
    assert details(damaged).count("it holds no JSON object") == 1
