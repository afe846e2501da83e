"""What do four trials at once take more than one?

    python -m benchmarks.memory

Two searches run as commands of their own, with one trial at a time and with four. Their memory is the sum over all
their processes, Ray's included, of proportional set sizes, in which a shared page counts once; the largest seen counts.
Three further trials may take three times what a process takes that imports what a trial imports and trains the same
student on one batch, private pages only: data, views and the teacher's outputs have to be shared.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.goals import Row, table
from benchmarks.shapes import SHAPES, STUDIED, step_of
from benchmarks.timing import Ratio
from tests.support.commands import SEARCH_ONLY, Command, passing_data_root

_TRIALS = 4


@dataclass(frozen=True)
class Memory:
    """Bytes: peaks of a search with one trial and with four at once, and a bare process of runtime and student."""

    one: int
    four: int
    bare: int

    @property
    def ratio(self) -> Ratio:
        """What three more trials take, over three bare processes."""
        return Ratio.single((self.four - self.one) / (3 * self.bare))


def measure(data: str, data_root: Path, *, epochs: int = 20) -> Memory:
    """Run both searches and the bare process, one after the other.

    Args:
        data: the data set.
        data_root: where its files lie; without the teacher's outputs beside them a first search leaves them there.
        epochs: of each trial.

    Raises:
        RuntimeError: a search failed; the message holds what it printed.
    """
    with tempfile.TemporaryDirectory() as name:
        asked = ("--data", data, "--data-root", str(data_root), "--out", name)
        if not (data_root / "teacher-cache").exists():
            _peak(1, *asked, "--epochs", "4", "--name", "first")
        one, four = (_peak(n, *asked, "--epochs", str(epochs), "--name", f"at-once-{n}") for n in (1, _TRIALS))
    return Memory(one, four, _bare(data))


def rows(data: str, found: Memory) -> list[Row]:
    """The one ratio that has a goal."""
    return [Row(f"{data}: memory of 3 more trials / (runtime + student) x 3", found.ratio)]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", choices=STUDIED, default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--data-root", default="data", type=Path, help="default: %(default)s")
    args = parser.parse_args(argv)
    with passing_data_root(args.data_root.absolute()) as root:
        found = measure(args.data, root)
    print(table(rows(args.data, found)))
    print(f"peak with one trial {_gb(found.one)}, with four {_gb(found.four)}; runtime and student {_gb(found.bare)}")
    return 0


def proportional_bytes(pid: int) -> int:
    """Proportional set size of a process; 0 where it has ended."""
    return _bytes(pid, "Pss:")


def _bytes(pid: int, *keys: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(keys))


def _peak(at_once: int, *flags: str) -> int:
    """Largest sum over the processes of a search of `_TRIALS` trials that share one core's worth of Ray's CPUs."""
    how = (
        "--trials",
        str(_TRIALS),
        "--max-concurrent",
        str(at_once),
        "--cpus-per-trial",
        "0.25",
        "--space",
        "acckd_core",
    )
    command, peak = Command("study.run", *flags, *how, *SEARCH_ONLY), 0
    while command.running:
        peak = max(peak, sum(map(proportional_bytes, [command.pid, *command.others()])))
        time.sleep(0.5)
    ended = command.end()
    if ended.code:
        raise RuntimeError(f"the search ended with {ended.code}:\n{ended.out}{ended.err}")
    return peak


def _bare(data: str) -> int:
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_train_bare, args=(data, sender))
    process.start()
    found: int = receiver.recv()
    process.join()
    return found


def _train_bare(data: str, sender: Connection) -> None:
    import torch

    import trainables.trial  # noqa: F401  what a worker imports
    from benchmarks.bare import bare_epoch
    from benchmarks.epoch import BATCH

    torch.set_num_threads(1)
    bare_epoch(step_of(SHAPES[data], "acckd", batch_size=BATCH), 10)()
    sender.send(_bytes(os.getpid(), "Private_Clean:", "Private_Dirty:"))


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.2f} GB"


if __name__ == "__main__":
    sys.exit(main())
