"""What the harness of kills and signals calls a fault, on folders written by hand and drivers that are none."""

import json
import random
import signal
from pathlib import Path

import pytest

from tests.support import kills
from tests.support.commands import Ended
from tests.support.kills import _end_faults, _stop_faults, signal_driver
from tests.support.watched_study import WatchedStudy

TABLES = {"confirm.csv": b"entry,test"}
#: What is made of a command that a signal ended, and of one that came to its end.
STOPPED, DONE = Ended(130, "stopped", ""), Ended(0, "", "")


def _study(folder: Path, status: str = "done") -> WatchedStudy:
    study = WatchedStudy(folder / "study")
    study.path.mkdir()
    study.manifest_path.write_text(json.dumps({"status": status}))
    study.path.joinpath("confirm.csv").write_bytes(TABLES["confirm.csv"])
    return study


@pytest.mark.parametrize("ended", [STOPPED, Ended(-signal.SIGTERM, "", "")])
def test_a_driver_that_stops_in_order_has_no_fault(ended: Ended, tmp_path: Path) -> None:
    assert _stop_faults(_study(tmp_path, "interrupted"), ended, signal.SIGTERM) == []
    assert _stop_faults(WatchedStudy(tmp_path / "none"), ended, signal.SIGTERM) == []


@pytest.mark.parametrize(
    ("ended", "fault"),
    [
        (Ended(1, "", "Traceback"), "SIGTERM: exit code 1: Traceback"),
        (Ended(-signal.SIGTERM, "study", ""), "SIGTERM: exit code -15: "),
        (Ended(-signal.SIGKILL, "", ""), "SIGTERM: exit code -9: "),
        (Ended(130, "", "a warning"), "SIGTERM: on the terminal: a warning"),
    ],
)
def test_a_driver_that_stops_otherwise_has_one(ended: Ended, fault: str, tmp_path: Path) -> None:
    assert _stop_faults(_study(tmp_path, "interrupted"), ended, signal.SIGTERM) == [fault]


def test_what_a_stopped_driver_leaves_is_judged(tmp_path: Path) -> None:
    study = _study(tmp_path, "running")
    assert _stop_faults(study, STOPPED, signal.SIGHUP) == ["SIGHUP: study.json says that a dead driver runs"]
    study.manifest_path.unlink()
    assert _stop_faults(study, STOPPED, signal.SIGHUP) == ["SIGHUP: half a folder is left"]


def test_a_study_that_ended_as_the_undisturbed_one_has_no_fault(tmp_path: Path) -> None:
    assert _end_faults(_study(tmp_path), DONE, [], TABLES) == []


def test_every_way_in_which_the_end_differs_is_a_fault(tmp_path: Path) -> None:
    study = _study(tmp_path, "failed")
    study.path.joinpath("confirm.csv").write_bytes(b"another")
    assert _end_faults(study, Ended(1, "", "Traceback"), [("COMPLETE", None, None)], TABLES) == [
        "exit code 1: Traceback",
        "the study is failed, not done",
        "the trials differ from the undisturbed study",
        "confirm.csv differs from the undisturbed study",
    ]


def test_a_folder_that_lacks_its_files_is_a_fault_and_no_traceback(tmp_path: Path) -> None:
    nothing = WatchedStudy(tmp_path / "none")
    assert _end_faults(nothing, DONE, [], TABLES) == ["the study is absent, not done", "confirm.csv is missing"]


def test_a_driver_that_hears_no_signal_is_a_fault_and_no_endless_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf:
        running = True

        def tell(self, number: int) -> None:
            told.append(number)

        interrupt = tell

        def end(self) -> Ended:
            _study(tmp_path)
            return DONE

    told: list[int] = []
    monkeypatch.setattr(kills, "_PHASES", ("start-up",))
    monkeypatch.setattr(kills, "_PHASE_S", 0.0)
    numbers, study = (signal.SIGHUP, signal.SIGTERM), WatchedStudy(tmp_path / "study")
    found = signal_driver(study, Deaf, numbers=numbers, rng=random.Random(0), expected=[], tables=TABLES)  # type: ignore[arg-type]
    assert told == [signal.SIGTERM] * 5 + [signal.SIGHUP] * 5
    assert found.faults == [f"{name}: sent 5 times, it ended no study" for name in ("SIGTERM", "SIGHUP")]
    assert (found.n, found.ended) == (0, DONE)
