"""Two ways of training held against each other: rungs trained both ways on the same seeds, judged on test."""

import argparse
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from analysis.stats.paired_tests import PairedInterval, paired_interval, spread
from benchmarks.record import RESULTS, write_results
from trainables.cckd.bundle.assemble import assemble_test
from trainables.cckd.bundle.trial_data import TestData, TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.spec import parse_data
from trainables.cckd.metrics import balanced_accuracy
from trainables.cckd.precision import Precision
from trainables.cckd.training.trainer import Trainer

FIRST_SEED = 1001


@dataclass(frozen=True)
class Way:
    """One way of training: on what, and in which numbers."""

    data: TrialData
    precision: Precision = "float32"


@dataclass(frozen=True)
class Contest:
    """Two ways by name, what to say above their table, and what else to keep of them."""

    ways: Mapping[str, Way]
    lead: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One trained student; `train_s` are the seconds of its training epochs."""

    rung: str
    way: str
    seed: int
    test_balanced_accuracy: float
    train_s: float


@dataclass(frozen=True)
class World:
    """What every run shares; forked processes read the parent's."""

    ways: Mapping[str, Way]
    test: TestData
    epochs: int


@dataclass(frozen=True)
class Comparison:
    """The second way minus the first, by rung."""

    runs: tuple[Run, ...]
    rungs: tuple[str, ...]
    ways: tuple[str, str]

    def difference(self, rung: str) -> PairedInterval:
        """Of test balanced accuracy, paired by seed."""
        first, second = (self.of(rung, way) for way in self.ways)
        pairs = zip(first, second, strict=True)
        return paired_interval(after.test_balanced_accuracy - before.test_balanced_accuracy for before, after in pairs)

    def of(self, rung: str, way: str) -> list[Run]:
        """Its runs, by seed."""
        found = [run for run in self.runs if (run.rung, run.way) == (rung, way)]
        return sorted(found, key=lambda run: run.seed)

    def table(self) -> str:
        """As Markdown, in per cent and points."""
        lines = [f"| rung | {' | '.join(self.ways)} | difference (95 % t interval) | |", "|---|---|---|---|---|"]
        for rung in self.rungs:
            cells = []
            for way in self.ways:
                of = spread(run.test_balanced_accuracy for run in self.of(rung, way))
                cells.append(f"{100 * of.mean:.1f} ± {100 * of.sd:.1f}")
            by = self.difference(rung)
            found = f"{100 * by.mean:+.1f} ({100 * by.low:+.1f} to {100 * by.high:+.1f})"
            lines.append(f"| {rung} | {' | '.join(cells)} | {found} | {by.verdict} |")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Every run, and the intervals."""
        first, second = self.ways
        differences = {rung: asdict(self.difference(rung)) for rung in self.rungs}
        return {f"{second}_minus_{first}": differences, "runs": [asdict(run) for run in self.runs]}


def run_comparison(
    argv: Sequence[str] | None,
    name: str,
    doc: str | None,
    rungs: Sequence[str],
    contest_of: Callable[[LongTailData, int], Contest],
) -> Comparison:
    """The command line of a comparison: train, print the table, write the JSON; return what was found.

    Args:
        argv: as for `main`.
        name: of the module, and the first word of the JSON's file name.
        doc: the module's; its first line is the description.
        rungs: to train.
        contest_of: makes the two ways from the data and the number of workers.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=(doc or "").split("\n")[0])
    parser.add_argument("--data", default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--data-root", default="data", type=Path, help="where data sets lie (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=6, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, help="default: the data set's")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: one a core")
    args = parser.parse_args(argv)
    load_before = os.getloadavg()[0]
    data = load_data(parse_data(args.data), data_root=args.data_root.absolute())
    contest = contest_of(data, args.workers)
    world = World(contest.ways, assemble_test(data), args.epochs or data.spec.info.recipe().epochs)
    found = compare(world, rungs, seeds=args.seeds, workers=args.workers)
    print(f"{contest.lead}{found.table()}")
    raw = {"data": str(data.spec), "epochs": world.epochs, **contest.raw, **found.to_json()}
    path = write_results(RESULTS, [], raw, load_before=load_before, what=f"{name}-{data.spec.name}")
    print(f"raw numbers: {path}")
    return found


def compare(world: World, rungs: Sequence[str], *, seeds: int, workers: int) -> Comparison:
    """Train every rung both ways at its reference point on each seed, `workers` at once, and say each as it ends."""
    first, second = world.ways
    asked = [(rung, way, FIRST_SEED + k) for k in range(seeds) for rung in rungs for way in (first, second)]
    runs = []
    with multiprocessing.get_context("fork").Pool(workers, _adopt, (world,)) as pool:
        for run in pool.imap(_train, asked):
            print(f"{run.rung:<6} {run.way:<12} seed {run.seed}: {run.test_balanced_accuracy:.4f}", flush=True)
            runs.append(run)
    return Comparison(tuple(runs), tuple(rungs), (first, second))


_world: World


def _adopt(world: World) -> None:
    global _world
    _world = world


def _train(asked: tuple[str, str, int]) -> Run:
    rung, name, seed = asked
    way = _world.ways[name]
    config = TrialConfig.build({"method": rung, "epochs": _world.epochs, "seed": seed})
    trainer = Trainer(config, way.data, precision=way.precision, threads=1)
    train_s = sum(record.train_s for record in trainer)
    counts = trainer.evaluate(_world.test.images, _world.test.labels)
    return Run(rung, name, seed, balanced_accuracy(counts), train_s)
