"""Kill anything at any time: is nothing ever lost, repeated or left behind?

    python -m benchmarks.soak                   (20 kills of the driver, 20 of trial workers, 30 minutes of both,
                                                 20 each of SIGTERM, SIGHUP and SIGUSR1)
    python -m benchmarks.soak --tier ci         (3 kills of each and no signals; what the slow tests do)
    python -m benchmarks.soak --only signals --signals 2
    python -m benchmarks.soak --only drivers workers

A small study on digits_lt, one trial at a time, is first run undisturbed. The same study whose driver is killed at
random instants, start-up and all, and resumed each time must end with the same trials, equal to the last bit; so must
one whose trial workers are killed. Then short trials on all slots for half an hour with a kill every 20 to 40 seconds:
every trial ends once, and neither a process nor a file in /dev/shm is left. Then a study of every phase whose driver
is ended by signals, in its start-up and in each phase: it ends with 130, says nothing on stderr, leaves no process and
no folder that says "running", and once resumed has the trials and tables of the undisturbed study.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, write_results
from tests.support.commands import Command
from tests.support.kills import Kills, kill_driver, kill_workers, signal_driver
from tests.support.watched_study import WatchedStudy

#: Kills of each kind, trials of the study they fall into, minutes of the part of both, and signals of each kind.
TIERS = {"ci": (3, 8, 0.0, 0), "full": (20, 60, 30.0, 20)}
PARTS = ("drivers", "workers", "minutes", "signals")
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)

#: The teacher at its smallest, trials of a second or two, no later phases.
SMALL = (
    *("--space", "acckd_smoke", "--data", "digits_lt", "--recipe", "quick"),
    *("--teacher-size", "32", "--teacher-views", "2"),
    *("--epochs", "12", "--finalists", "0", "--confirm-seeds", "0", "--ablation-seeds", "0"),
)
#: The same with a run or two in every later phase, and the tables that these fill.
ALL_PHASES = (
    *("--trials", "4", "--finalists", "1", "--finalist-seeds", "2", "--confirm-seeds", "2", "--long-seeds", "1"),
    *("--ladder", "la,kd", "--ablation-seeds", "1", "--max-concurrent", "1"),
)
TABLES = ("finalists.csv", "confirm.csv", "classes.csv", "ablation.csv")
_FIRST_STEP_S = 30.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts, print what was found, write the JSON; return 1 where something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tier", choices=tuple(TIERS), default="full", help="default: %(default)s")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="default: all parts")
    parser.add_argument("--minutes", type=float, help="length of that part (default: the tier's)")
    parser.add_argument("--signals", type=int, metavar="N", help="signals of each kind (default: the tier's)")
    parser.add_argument("--seed", type=int, default=0, help="of the instants (default: %(default)s)")
    args = parser.parse_args(argv)
    n_kills, n_trials, minutes, n_signals = TIERS[args.tier]
    minutes = minutes if args.minutes is None else args.minutes
    n_signals = n_signals if args.signals is None else args.signals
    rng, found, load_before = random.Random(args.seed), {}, os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if {"drivers", "workers"} & set(args.only):
            alone = ("--trials", str(n_trials), "--max-concurrent", "1")
            expected = _undisturbed(WatchedStudy(folder / "undisturbed"), alone).results()
            for part, kill in (("drivers", kill_driver), ("workers", kill_workers)):
                if part in args.only:
                    study = WatchedStudy(folder / part)
                    kills = kill(study, _starter(study, alone), n=n_kills, rng=rng, expected=expected)
                    found[part] = _told(part, kills)
        if "minutes" in args.only and minutes:
            found["minutes"] = _told("minutes", for_minutes(WatchedStudy(folder / "minutes"), minutes, rng))
        if "signals" in args.only and n_signals:
            found["signals"] = _told("signals", by_signals(folder, n_signals, rng))
    raw = {"tier": args.tier, "seed": args.seed, "parts": found}
    what = "-".join(["soak", args.tier, *(args.only if set(args.only) < set(PARTS) else ())])
    path = write_results(RESULTS, [], raw, load_before=load_before, what=what)
    print(f"raw numbers: {path}")
    return 1 if any(part["faults"] for part in found.values()) else 0


def for_minutes(study: WatchedStudy, minutes: float, rng: random.Random) -> Kills:
    """Kill the driver or a trial worker every 20 to 40 seconds for so long, then end with what has been asked for."""
    kills, shared = Kills(), set(os.listdir("/dev/shm"))
    command = Command("study.run", *_folders(study), *SMALL, "--trials", "100000", "--sampler", "random")
    limit = time.monotonic() + 60 * minutes
    while time.monotonic() < limit:
        time.sleep(rng.uniform(20, 40))
        if not command.running:
            kills.faults.append(f"the driver ended by itself: {command.end().err.strip()[-500:]}")
            break
        workers = command.trial_workers()
        if workers and rng.randrange(2):
            os.kill(rng.choice(workers), signal.SIGKILL)
        else:
            kills.orphans += command.kill()
            command = Command("study.resume", str(study.path))
        kills.n += 1
    kills.orphans += command.kill()
    asked = len(study.states())
    command = Command("study.resume", str(study.path), "--trials", str(asked))
    kills.ended = command.end(1200)
    states = study.states()
    if kills.ended.code:
        kills.faults.append(f"exit code {kills.ended.code}: {kills.ended.err.strip()[-500:]}")
    if len(states) != asked or not set(states) <= {"COMPLETE", "PRUNED", "FAIL"}:
        kills.faults.append(f"{asked} trials were asked for; they are {sorted(set(states))}, {len(states)} in all")
    knobs = [repr(result[1]) for result in study.results()]
    if len(set(knobs)) != len(knobs):
        kills.faults.append("a configuration was suggested twice")
    limit = time.monotonic() + 90  # Ray's agents included
    while command.others() and time.monotonic() < limit:
        time.sleep(1)
    if command.others():
        kills.faults.append(f"{len(command.others())} processes are left")
    left = sorted(set(os.listdir("/dev/shm")) - shared)
    if left:
        kills.faults.append(f"left in /dev/shm: {', '.join(left)}")
    return kills


def by_signals(folder: Path, n: int, rng: random.Random) -> Kills:
    """End the driver of a study of every phase by `n` signals of each kind, in random order."""
    whole = _undisturbed(WatchedStudy(folder / "whole"), ALL_PHASES)
    numbers = rng.sample([number for number in SIGNALS for _ in range(n)], n * len(SIGNALS))
    study = WatchedStudy(folder / "signals")
    tables = {name: whole.path.joinpath(name).read_bytes() for name in TABLES}
    start = _starter(study, ALL_PHASES)
    return signal_driver(study, start, numbers=numbers, rng=rng, expected=whole.results(), tables=tables)


def _undisturbed(study: WatchedStudy, flags: Sequence[str]) -> WatchedStudy:
    ended = _starter(study, flags)().end(1200)
    if ended.code:
        raise SystemExit(f"the undisturbed study ended with {ended.code}:\n{ended.out}{ended.err}")
    return study


def _starter(study: WatchedStudy, flags: Sequence[str]) -> Callable[[], Command]:
    return lambda: Command("study.run", *_folders(study), *SMALL, *flags)


def _folders(study: WatchedStudy) -> tuple[str, ...]:
    """All studies share one data root, so that the teacher is paid for once."""
    parent = study.path.parent
    return ("--data-root", str(parent / "data"), "--out", str(parent), "--name", study.path.name)


def _told(part: str, kills: Kills) -> dict[str, Any]:
    """Judge the times, print one line, and return plain types."""
    slow = [step for step in kills.first_step_s if step > _FIRST_STEP_S]
    if slow:
        kills.faults.append(f"{len(slow)} starts took over {_FIRST_STEP_S:g} s to the first step")
    if kills.orphans:
        kills.faults.append(f"{kills.orphans} processes outlived their driver by a minute")
    times = [
        f"{what} {max(taken):.1f} s at most"
        for what, taken in (("first step after", kills.first_step_s), ("unsaved work", kills.lost_s))
        if taken
    ]
    print(
        f"{part}: {kills.n} kills; {'; '.join([*times, *kills.faults, 'all holds' if not kills.faults else 'NOT MET'])}"
    )
    return asdict(kills) | {"ended": None if kills.ended is None else kills.ended.code}


if __name__ == "__main__":
    sys.exit(main())
