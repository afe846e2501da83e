"""How much sooner does a study end than the searches a user would write?

    python -m benchmarks.study_wall --peer "careful Optuna"                      (half a default study each: hours)
    python -m benchmarks.study_wall --data digits_lt --trials 4 --epochs 8       (minutes, too short to judge)

The searches run as commands of their own, one after the other, start-up and teacher included, from an empty
teacher cache, over the same space, trials and epochs; the study neither prunes, selects nor confirms, as the
scripts do not. The goals (`benchmarks.goals`) are judged from half the epochs of a default study on. The study's
teacher pass is a fixed price, so a search of few short trials gains little: 4 trials of 8 epochs on digits_lt took
103 s against 114 s (two cores of an AMD EPYC, other work running).
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from benchmarks.goals import Row, table
from benchmarks.timing import Ratio, Seconds, take_turns
from search_spaces.acckd import ACCKD_FULL
from tests.support.commands import SEARCH_ONLY, fresh_data_root
from trainables.cckd.data.spec import parse_data

#: What the study is held against.
PEERS = ("peer script", "plain Optuna", "careful Optuna")

#: The name of a row: data set, trials, epochs of each.
_NAME = re.compile(r"(.+): study against .+, (\d+) trials of (\d+) epochs, times faster")


class CommandFailedError(Exception):
    """A benchmarked command did not succeed; the message ends with all it printed."""


@dataclass(frozen=True)
class Budget:
    """What both searches are given; `data_root` is where the data lies, caches go elsewhere."""

    data: str
    trials: int
    epochs: int
    data_root: Path = Path("data")
    space: str = "acckd_core"

    @classmethod
    def of_default_study(cls, data: str) -> Self:
        """What a study of a data set has that is given neither trials nor epochs."""
        return cls(data, ACCKD_FULL.default_trials, parse_data(data).info.recipe().epochs)

    @property
    def half(self) -> Self:
        """Half the trials, rounded up."""
        return replace(self, trials=-(-self.trials // 2))


def measure(budget: Budget, turns: int, *, peers: Collection[str] = PEERS) -> Seconds:
    """Wall seconds of the study, and of the scripts of PEERS, turn by turn.

    Args:
        budget: of each.
        turns: how often each.
        peers: which of the scripts.

    Raises:
        CommandFailedError: one of them failed; its output is in the error.
    """
    contenders = {
        "study": lambda: _study(budget),
        "peer script": lambda: _peer(budget, "benchmarks.peer_script", with_out=True),
        "plain Optuna": lambda: _peer(budget, "benchmarks.plain_optuna", with_out=False),
        "careful Optuna": lambda: _peer(budget, "benchmarks.careful_optuna", with_out=False),
    }
    asked = {name: run for name, run in contenders.items() if name in ("study", *peers)}
    return take_turns(asked, turns, warm_up=0, clock=time.perf_counter)


def rows(budget: Budget, seconds: Seconds) -> list[Row]:
    """Each peer over the study: how many times sooner the study ends."""
    how = f"{budget.trials} trials of {budget.epochs} epochs, times faster"
    named = {peer: f"{budget.data}: study against {peer}, {how}" for peer in PEERS if peer in seconds}
    return [Row(what, Ratio.of(seconds[peer], seconds["study"]), long_enough(what)) for peer, what in named.items()]


def long_enough(what: str) -> bool:
    """Return False for a row of `rows` with fewer epochs than half a default study has: they judge no goal."""
    if (found := _NAME.fullmatch(what)) is None:
        return True
    data, trials, epochs = found.groups()
    default = Budget.of_default_study(data)
    return 2 * int(trials) * int(epochs) >= default.trials * default.epochs


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study_wall", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--data-root", default="data", type=Path, help="default: %(default)s")
    parser.add_argument("--trials", type=int, help="of each search (default: half of a default study's)")
    parser.add_argument("--epochs", type=int, help="of each trial (default: those of the data set's recipe)")
    parser.add_argument("--turns", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--peer", choices=PEERS, action="append", help="only this one (default: all)")
    args = parser.parse_args(argv)
    usual = Budget.of_default_study(args.data).half
    budget = Budget(args.data, args.trials or usual.trials, args.epochs or usual.epochs, args.data_root.absolute())
    seconds = measure(budget, args.turns, peers=args.peer or PEERS)
    print(table(rows(budget, seconds)))
    print("\n".join(f"{name}: {', '.join(f'{taken:.1f} s' for taken in each)}" for name, each in seconds.items()))
    return 0


def _study(budget: Budget) -> None:
    def command(folder: Path) -> list[str]:
        return [
            *("study.run", "--space", budget.space, "--data", budget.data, "--data-root", str(folder / "data")),
            *("--trials", str(budget.trials), "--epochs", str(budget.epochs)),
            *SEARCH_ONLY,
            *("--out", str(folder / "runs"), "--name", "wall"),
        ]

    _run(command, budget.data_root)


def _peer(budget: Budget, module: str, *, with_out: bool) -> None:
    def command(folder: Path) -> list[str]:
        return [
            *(module, "--space", budget.space, "--data", budget.data, "--data-root", str(folder / "data")),
            *("--trials", str(budget.trials), "--epochs", str(budget.epochs)),
            *(("--out", str(folder / "runs")) if with_out else ()),
        ]

    _run(command, budget.data_root)


def _run(command: Callable[[Path], list[str]], data_root: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fresh_data_root(data_root, folder)
        module, *arguments = command(folder)
        run = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True)
        if run.returncode:
            raise CommandFailedError(f"{module} ended with {run.returncode}:\n{run.stdout}{run.stderr}")


if __name__ == "__main__":
    sys.exit(main())
