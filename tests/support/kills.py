"""A study killed again and again, and what must still hold: the same harness serves `make soak` and the tests."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.support.commands import AGENTS, Command, Ended
from tests.support.watched_study import WatchedStudy

#: A start that is killed while it starts, one in so many; the others are killed at work.
_ONE_IN = 4
_STARTING_S = 8.0
_LIMIT_S = 240.0

#: What a signal is sent in: the start-up, and the phases in their order. Most of a phase of a small study is shorter.
_PHASES = ("start-up", "teacher", "search", "selection", "confirm", "longer", "ablation")
_PHASE_S = 3.0
#: Times in a row that a signal may come too late, in the last moments of a study.
_MOST_LATE = 5


@dataclass
class Kills:
    """What happened, and what the study said in the end.

    Attributes:
        n: kills that hit.
        orphans: processes a killed driver left that were still there a minute later.
        first_step_s: from each start of a driver to its first epoch or checkpoint.
        lost_s: how long before its kill a running trial had last been saved, or had begun.
        ended: how the last command ended.
        faults: what does not hold; empty where all is well.
    """

    n: int = 0
    orphans: int = 0
    first_step_s: list[float] = field(default_factory=list)
    lost_s: list[float] = field(default_factory=list)
    ended: Ended | None = None
    faults: list[str] = field(default_factory=list)


def kill_driver(
    study: WatchedStudy,
    start: Callable[[], Command],
    *,
    n: int,
    rng: random.Random,
    expected: list[Any],
    working_s: float = 4.0,
) -> Kills:
    """Kill the driver `n` times at random instants, resuming each time; then let it end and hold it to `expected`.

    Args:
        study: the study's folder, not made yet.
        start: starts the study.
        n: kills.
        rng: chooses the instants.
        expected: `results` of the same study undisturbed, one trial at a time.
        working_s: most seconds that a driver works between its first step and its kill.
    """
    kills, command = Kills(), start()
    while kills.n < n:
        if rng.randrange(_ONE_IN) == 0:
            time.sleep(rng.uniform(0, _STARTING_S))
        else:
            step_s = _first_step_s(study, command)
            if step_s is not None:
                kills.first_step_s.append(step_s)
                time.sleep(rng.uniform(0, working_s))
                kills.lost_s += _unsaved_s(study, command)
        if not command.running:
            break
        kills.orphans += command.kill()
        kills.n += 1
        if not study.manifest_path.exists():  # before there was a study to resume
            shutil.rmtree(study.path, ignore_errors=True)
            command = start()
        else:
            command = Command("study.resume", str(study.path))
    return _ended(kills, n, study, command, expected)


def kill_workers(
    study: WatchedStudy, start: Callable[[], Command], *, n: int, rng: random.Random, expected: list[Any]
) -> Kills:
    """Kill the process that runs the trial, `n` times, each trial at most once; arguments as for `kill_driver`."""
    kills, command = Kills(), start()
    limit = time.monotonic() + _LIMIT_S + 30 * n
    while kills.n < n and command.running and time.monotonic() < limit:
        time.sleep(rng.uniform(0.1, 1.2))
        attempts = study.attempts()
        fresh = [k for k, state in enumerate(study.states()) if state == "RUNNING" and attempts.get(k) == 1]
        workers = command.trial_workers()
        if not fresh or not workers:
            continue
        os.kill(workers[0], signal.SIGKILL)
        if _comes(partial(_started_again, study, attempts), command):
            kills.n += 1
    return _ended(kills, n, study, command, expected)


def signal_driver(
    study: WatchedStudy,
    start: Callable[[], Command],
    *,
    numbers: Sequence[int],
    rng: random.Random,
    expected: list[Any],
    tables: Mapping[str, bytes],
) -> Kills:
    """End the driver by each of these signals in turn, start-up and every phase in turn; resume, and judge the end.

    A study that has come to its end is judged, and the same study is begun anew until no signal is left.

    Args:
        study: the study's folder, not made yet.
        start: starts the study.
        numbers: the signals. A batch system sends them to the driver alone or to all of its processes.
        rng: chooses the instants, and to whom a signal is sent.
        expected: `results` of the same study undisturbed, one trial at a time.
        tables: name of a table of the later phases -> its content in the undisturbed study.
    """
    kills, command, left, n_late = Kills(), start(), list(numbers), 0
    while left:
        _await_phase(study, command, rng.choice(_PHASES))
        time.sleep(rng.uniform(0, _PHASE_S))
        number, sent = left[-1], command.running
        if sent and rng.randrange(2):
            command.interrupt(number)
        elif sent:
            command.tell(number)
        ended = command.end()
        if ended.code == 0:  # it came too late, or study and report were there
            kills.faults += _end_faults(study, ended, expected, tables)
            n_late += sent
            if n_late == _MOST_LATE:
                kills.faults.append(f"{signal.Signals(number).name}: sent {n_late} times, it ended no study")
                left.pop()
                n_late = 0
            shutil.rmtree(study.path, ignore_errors=True)
            command = start()
            continue
        left.pop()
        n_late = 0
        kills.n += 1
        kills.orphans += len(command.left_behind(but=AGENTS))
        kills.faults += _stop_faults(study, ended, number)
        begun = study.manifest_path.exists()
        command = Command("study.resume", str(study.path)) if begun else start()
    kills.ended = command.end()
    kills.faults += _end_faults(study, kills.ended, expected, tables)
    return kills


def _await_phase(study: WatchedStudy, command: Command, phase: str) -> None:
    """Wait until the study is in a phase or beyond it; start-up is no phase."""
    wanted = _PHASES.index(phase)

    def reached() -> bool:
        if not study.manifest_path.exists():
            return False
        with suppress(OSError, ValueError):
            return _PHASES.index(study.manifest.get("phase") or _PHASES[0]) >= wanted
        return False

    if wanted:
        _comes(reached, command)


def _stop_faults(study: WatchedStudy, ended: Ended, number: int) -> list[str]:
    """What does not hold of a driver that a signal has ended: 130 and a word, or, before Python hears, the signal's."""
    name = signal.Signals(number).name
    early = ended.code == -number and not ended.out
    if ended.code != 130 and not early:
        return [f"{name}: exit code {ended.code}: {ended.err.strip()[-300:]}"]
    faults = [f"{name}: on the terminal: {ended.err.strip()[-300:]}"] if ended.err else []
    if study.manifest_path.exists() and study.manifest["status"] == "running":
        faults.append(f"{name}: study.json says that a dead driver runs")
    if study.path.exists() and not study.manifest_path.exists():
        faults.append(f"{name}: half a folder is left")
    return faults


def _end_faults(study: WatchedStudy, ended: Ended, expected: list[Any], tables: Mapping[str, bytes]) -> list[str]:
    """What does not hold of a study that should have come to its end, with these trials and tables."""
    faults = [_exit_fault(ended)] if ended.code else []
    status = study.manifest["status"] if study.manifest_path.exists() else "absent"
    if status != "done":
        faults.append(f"the study is {status}, not done")
    if study.results() != expected:
        faults.append("the trials differ from the undisturbed study")
    for name, content in tables.items():
        path = study.path / name
        if not path.is_file():
            faults.append(f"{name} is missing")
        elif path.read_bytes() != content:
            faults.append(f"{name} differs from the undisturbed study")
    return faults


def _exit_fault(ended: Ended) -> str:
    return f"exit code {ended.code}: {ended.err.strip()[-500:]}"


def _ended(kills: Kills, n: int, study: WatchedStudy, command: Command, expected: list[Any]) -> Kills:
    kills.ended = command.end()
    if kills.n < n:
        kills.faults.append(f"the study ended after {kills.n} of {n} kills")
    if kills.ended.code:
        kills.faults.append(_exit_fault(kills.ended))
    found = study.results()
    if len(found) != len(expected):
        kills.faults.append(f"{len(found)} trials instead of {len(expected)}")
    if "RUNNING" in study.states():
        kills.faults.append("a trial is left RUNNING")
    other = [number for number, (ours, theirs) in enumerate(zip(found, expected, strict=False)) if ours != theirs]
    if other:
        kills.faults.append(f"trials {other} differ from the undisturbed study")
    return kills


def _first_step_s(study: WatchedStudy, command: Command) -> float | None:
    before = study.n_epochs()
    if not _comes(lambda: study.n_epochs() > before or _saved_since(study, command.started), command):
        return None
    return time.time() - command.started


def _unsaved_s(study: WatchedStudy, command: Command) -> list[float]:
    """Seconds of work of each running trial that are not in a checkpoint of this driver's."""
    running = [number for number, state in enumerate(study.states()) if state == "RUNNING"]
    saved = [study.last_checkpoint(number) for number in running]
    return [time.time() - moment for moment in saved if moment is not None and moment > command.started]


def _saved_since(study: WatchedStudy, moment: float) -> bool:
    running = [number for number, state in enumerate(study.states()) if state == "RUNNING"]
    return any((study.last_checkpoint(number) or 0.0) > moment for number in running)


def _started_again(study: WatchedStudy, before: Mapping[int, int]) -> bool:
    return any(n > 1 and n > before.get(number, 1) for number, n in study.attempts().items())


def _comes(happened: Callable[[], bool], command: Command) -> bool:
    """Wait until it has happened, the command has ended, or too long."""
    limit = time.monotonic() + _LIMIT_S
    while command.running and time.monotonic() < limit:
        if happened():
            return True
        time.sleep(0.05)
    return False
