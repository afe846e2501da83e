"""How much sooner does a study end than the searches a user would write?

    python -m benchmarks.study_wall --data fashion_mnist_lt --trials 64 --epochs 20 --turns 1
    python -m benchmarks.study_wall --data fashion_mnist_lt --trials 8 --epochs 20 --peer "plain Optuna"

The searches run as commands of their own, one after the other, start-up and teacher included, from an empty
teacher cache, over the same space, trials and epochs; the study neither prunes, selects nor confirms, as the
scripts do not. Expected: 8 times sooner at the default budget above. The study's teacher pass is a fixed price,
so a search of few short trials gains little: 4 trials of 8 epochs on digits_lt took 103 s against 114 s
(two cores of an AMD EPYC, other work running).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.goals import Goal, Row, table
from benchmarks.timing import Ratio, Seconds, take_turns
from tests.support.commands import SEARCH_ONLY, fresh_data_root

#: What the study is held against, and how many times sooner it is to end.
PEERS = {"peer script": 8.0, "plain Optuna": 1.0, "careful Optuna": 1.0}

#: Fewer trial epochs than half the default study's are no base to judge the goal on.
_JUDGED_FROM = 64 * 20 // 2


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


def measure(budget: Budget, turns: int, *, peers: Collection[str] = tuple(PEERS)) -> Seconds:
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
    judged = budget.trials * budget.epochs >= _JUDGED_FROM
    return [
        Row(
            f"{budget.data}: study against {peer}, {budget.trials} trials of {budget.epochs} epochs, times faster",
            Goal("at least", bound),
            Ratio.of(seconds[peer], seconds["study"]),
            judged,
        )
        for peer, bound in PEERS.items()
        if peer in seconds
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study_wall", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="digits_lt", help="default: %(default)s")
    parser.add_argument("--data-root", default="data", type=Path, help="default: %(default)s")
    parser.add_argument("--trials", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--turns", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--peer", choices=tuple(PEERS), action="append", help="only this one (default: all)")
    args = parser.parse_args(argv)
    budget = Budget(args.data, args.trials, args.epochs, args.data_root.absolute())
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
