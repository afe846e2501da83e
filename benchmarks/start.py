"""How long does a user wait before anything happens?

    python -m benchmarks.start

`--help`, `--dry-run` and `study.status` as whole commands; then the first training step of a study, counted from the
command: the moment of its first checkpoint, less the seconds that the epochs in it took, so a little late rather than
early. Once with an empty teacher cache, then with the cache this left, which is what the goal means by a warm disk.
The processor time that the last start took is told process by process: as many cores as there are cannot do it sooner.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.goals import Row, table
from benchmarks.timing import Ratio, Seconds
from tests.support.commands import ROOT, Command, fresh_data_root
from tests.support.watched_study import WatchedStudy

_TIMED = ("--help", "--dry-run", "study.status", "first step")
_COLD = "first step, empty teacher cache"
_LIMIT_S = 600.0


class NoFirstStepError(Exception):
    """The study ended, or ten minutes went by, before its first step; the message holds what it printed."""


@dataclass(frozen=True)
class FirstStep:
    """Seconds from a command to its first training step, and the processor time its processes took until then."""

    wall_s: float
    processor_s: dict[str, float]


@dataclass(frozen=True)
class Starts:
    """Wall seconds of each command and of the first step, turn by turn, and the last first step."""

    seconds: Seconds
    last: FirstStep


def measure(data: str, data_root: Path, *, turns: int = 3, warm: bool = False) -> Starts:
    """Wall seconds of each command and of the first step, turn by turn; before that once with an empty teacher cache.

    Args:
        data: the data set.
        data_root: where its files lie; teacher outputs that lie beside them are not used.
        turns: how often each.
        warm: use those outputs, which a default study has left, and do without the empty cache.

    Raises:
        NoFirstStepError: a study came to nothing.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), data_root if warm else fresh_data_root(data_root, Path(name))
        asked = ("--data", data, "--data-root", str(root))
        seconds: Seconds = {} if warm else {_COLD: [_first_step(folder / "cold", asked).wall_s]}
        for turn in range(turns):
            last = _first_step(folder / f"warm-{turn}", asked)
            turn_s = {
                "--help": _whole_s("study.run", "--help"),
                "--dry-run": _whole_s("study.run", "--dry-run", *asked),
                "study.status": _whole_s("study.status", str(folder)),
                "first step": last.wall_s,
            }
            for what, taken in turn_s.items():
                seconds.setdefault(what, []).append(taken)
    return Starts(seconds, last)


def rows(data: str, seconds: Seconds) -> list[Row]:
    """Seconds against their goals, as ratios to one second."""
    return [
        Row(f"{data}: command to {what}, s", Ratio.of(seconds[what], [1.0] * len(seconds[what]))) for what in _TIMED
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--data-root", default="data", type=Path, help="default: %(default)s")
    parser.add_argument("--turns", type=int, default=3, metavar="N", help="default: %(default)s")
    args = parser.parse_args(argv)
    found = measure(args.data, args.data_root.absolute(), turns=args.turns)
    print(table(rows(args.data, found.seconds)))
    print(f"{_COLD}: {found.seconds[_COLD][0]:.1f} s")
    spent = found.last.processor_s
    each = ", ".join(f"{what} {taken:.1f}" for what, taken in spent.items())
    print(f"processor time to the last first step: {sum(spent.values()):.1f} s ({each})")
    return 0


def _whole_s(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began


def _first_step(path: Path, asked: Sequence[str]) -> FirstStep:
    """The first training step of a small study, which is then killed."""
    study = WatchedStudy(path)
    search_alone = ("--finalists", "0", "--confirm-seeds", "0", "--ablation-seeds", "0")
    small = ("--trials", "2", "--sampler", "random", *search_alone)
    command = Command("study.run", *asked, *small, "--out", str(path.parent), "--name", path.name)
    while command.running and time.time() - command.started < _LIMIT_S:
        began = study.first_step()
        if began is not None:
            processor_s = command.processor_s()
            command.kill()
            return FirstStep(began - command.started, processor_s)
        time.sleep(0.05)
    if command.running:
        command.kill()
        raise NoFirstStepError(f"no step of {path.name} within {_LIMIT_S:g} s")
    ended = command.end()
    raise NoFirstStepError(f"{path.name} ended with {ended.code}:\n{ended.out}{ended.err}")


if __name__ == "__main__":
    sys.exit(main())
