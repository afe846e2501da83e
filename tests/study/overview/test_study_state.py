"""How a study stands, from folders of every kind."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from study.lock import LOCK, study_lock
from study.overview.study_state import PhaseState, read_state, studies_in
from trainables.cckd.errors import UsageError
from trainables.cckd.files.sealed import sealed

MANIFEST: dict[str, Any] = {
    "status": "running",
    "phase": "search",
    "started": "2026-01-02T03:04:05+00:00",
    "space": {"name": "toy"},
    "data": {"spec": "digits_lt:ir=50", "fallback_from": None, "fallback_reason": None},
    "recipe": {"not_trained_out": None},
    "planned": {"search": 12, "selection": 6, "confirm": 8},
    "failures": [],
    "cautions": [],
}


def _study(folder: Path, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "study.json").write_text(json.dumps(sealed(MANIFEST | changes)))
    return folder


def _left(seconds: float, *, ago: float = 0.0) -> dict[str, Any]:
    return {"seconds": seconds, "at": (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()}


def test_a_study_runs_only_while_its_driver_lives(tmp_path: Path) -> None:
    folder = _study(tmp_path, left=_left(100, ago=40))
    with study_lock(folder / LOCK):
        running = read_state(folder)
    assert (running.state, running.resume) == ("running", None)
    assert running.seconds_left == pytest.approx(60, abs=5)
    stopped = read_state(folder)
    assert (stopped.state, stopped.seconds_left) == ("stopped", None)
    assert stopped.resume == f"python -m study.resume {folder}"


@pytest.mark.parametrize(
    ("address", "named"), [("head:6379", " --address head:6379"), ("10.0.0.1:1", " --address 10.0.0.1:1"), ("auto", "")]
)
def test_a_study_that_ran_on_a_cluster_is_continued_there(tmp_path: Path, address: str, named: str) -> None:
    found = read_state(_study(tmp_path, plan={"address": address}))
    assert found.resume == f"python -m study.resume {tmp_path}{named}"


@pytest.mark.parametrize(("status", "resumable"), [("interrupted", True), ("failed", True), ("done", False)])
def test_an_end_that_was_written_is_told_as_it_was(tmp_path: Path, status: str, resumable: bool) -> None:
    found = read_state(_study(tmp_path, status=status, phase=None))
    assert (found.state, found.phase, found.resume is not None) == (status, None, resumable)


def test_a_driver_that_takes_longer_than_it_said_has_no_negative_time_left(tmp_path: Path) -> None:
    folder = _study(tmp_path, left=_left(5, ago=60))
    with study_lock(folder / LOCK):
        assert read_state(folder).seconds_left == 0


def test_planned_runs_come_from_the_manifest_and_done_ones_from_study_db(ledger, database, seed_of, epoch) -> None:
    for _ in range(2):
        ledger.ask(seed_of)
    ledger.record(0, [epoch(k) for k in (1, 2, 3, 4)])
    ledger.complete(0)
    ledger.fail(1, "exception: boom")
    ledger.runs.add_confirm_run("kd", 1, None, {})
    changes = [{"kind": "part", "name": "mixing"}, {"kind": "knob", "name": "tau"}]
    found = read_state(
        _study(database.parent, chosen_trial=0, ablation={"trial": 0, "seeds": [1, 2, 3, 4], "changes": changes})
    )
    assert found.phases == (
        PhaseState("search", 1, 1, 12),
        PhaseState("selection", 0, 0, 6),
        PhaseState("confirm", 1, 0, 8),
        PhaseState("ablation", 0, 0, 8),  # four seeds of best1, two of each change
    )
    assert found.best is not None
    assert found.fault is None


def test_a_study_of_an_earlier_version_has_no_planned_numbers(tmp_path: Path) -> None:
    manifest = {key: value for key, value in MANIFEST.items() if key not in ("planned", "cautions", "recipe")}
    (tmp_path / "study.json").write_text(json.dumps(sealed(manifest)))
    found = read_state(tmp_path)
    assert found.phases == (PhaseState("search", 0, 0, None),)
    assert found.warnings == ()


def test_what_a_reader_must_know_is_a_warning(tmp_path: Path) -> None:
    found = read_state(
        _study(
            tmp_path,
            cautions=[{"reason": "shared_images", "text": "3 images of test are in train"}, "as it once was"],
            recipe={"not_trained_out": "recipe quick"},
            data=MANIFEST["data"] | {"fallback_from": "fashion_mnist_lt", "fallback_reason": "no network"},
            failures=["kd-seed1: hung"],
        )
    )
    assert found.warnings == (
        "3 images of test are in train",
        "as it once was",
        "the students are not trained out: recipe quick",
        "fashion_mnist_lt could not be had: no network",
    )
    assert found.failures == ("kd-seed1: hung",)


def test_a_length_that_is_not_known_for_the_data_is_a_warning(tmp_path: Path) -> None:
    unknown = "length not measured for this cut (n_max=60); it"
    recipe = {"not_trained_out": None, "length_not_measured": unknown}
    assert read_state(_study(tmp_path, recipe=recipe)).warnings == (unknown,)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"status": "running"}', '{"status": 1, "sha256_of_this": "0"}', "\xff"]
)
def test_a_damaged_manifest_is_told_and_hides_no_other_study(tmp_path: Path, text: str) -> None:
    _study(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "study.json").write_text(text, encoding="latin-1")
    found = {Path(state.folder).name: state for state in map(read_state, studies_in(tmp_path))}
    assert found["good"].state == "stopped"
    assert found["bad"].state == "damaged"
    assert "study.json" in (found["bad"].fault or "")
    assert found["bad"].resume is None


def test_a_database_that_is_damaged_or_locked_leaves_what_the_manifest_says(ledger, database) -> None:
    folder = _study(database.parent)
    ledger.close()
    with sqlite3.connect(database) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        locked = read_state(folder)
        holder.rollback()
    holder.close()
    assert "locked" in (locked.fault or "")
    database.write_bytes(b"no database")
    damaged = read_state(folder)
    assert (damaged.state, damaged.data) == ("stopped", "digits_lt:ir=50")
    assert "not a database" in (damaged.fault or "")


@pytest.mark.parametrize("status", ["done", "running", "interrupted"])
@pytest.mark.parametrize("content", [None, b""])
def test_a_study_that_has_lost_its_trials_is_damaged_and_names_no_command(
    tmp_path: Path, status: str, content: bytes | None
) -> None:
    folder = _study(tmp_path, status=status, counts={"complete": 20, "pruned": 3, "fail": 1, "running": 2})
    if content is not None:
        (folder / "study.db").write_bytes(content)
    found = read_state(folder)
    assert (found.state, found.phase, found.phases, found.resume) == ("damaged", None, (), None)
    what = "missing" if content is None else "empty"
    assert f"study.db must hold the trials of the study; it is {what}, and 24 trials have ended" in (found.fault or "")
    assert found.data == "digits_lt:ir=50"


def test_a_study_that_was_killed_before_a_trial_had_ended_has_lost_none(tmp_path: Path) -> None:
    counts = {"complete": 0, "pruned": 0, "fail": 0, "running": 2}
    found = read_state(_study(tmp_path, counts=counts))
    assert found.state == "stopped"
    assert found.resume is not None


def test_the_json_is_plain_and_complete(tmp_path: Path) -> None:
    with study_lock(_study(tmp_path) / LOCK):
        plain = json.loads(json.dumps(read_state(tmp_path).to_json()))
    assert plain["driver"].keys() == {"host", "pid", "since", "alive"}
    assert plain["phases"][0] == {"phase": "search", "done": 0, "failed": 0, "planned": 12}
    assert plain["resume"] is None


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere does not exist"):
        studies_in(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["study.json", "study.db", "notes"])
def test_a_file_is_said_to_be_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(UsageError, match=f"folder of studies; .*{name} is no folder"):
        studies_in(tmp_path / name)
