"""Do a probe's out-of-fold targets teach better than its in-fold ones?

    python -m benchmarks.targets

A probe that was fitted to an image knows its label, so in fold its targets are hard: on the default fashion_mnist_lt
they name the right class of 95 % of the training views, where the same probe reaches 77 % on D_val. Out of fold each
image is judged by a fit on the others (84 %). Both teachers stand on the same features, probe strength and prior; the
rungs cckd and acckd are trained at their reference point on the same seeds, and the paired differences of test balanced
accuracy get a t interval.

Expected on the default set, two cores of an AMD EPYC, 8 minutes of processor time: neither is shown to be better. Out
of fold minus in fold: cckd -1.0 points (95 % interval -2.6 to +0.7), acckd +1.2 (-0.7 to +3.0). Every run is kept in
benchmarks/results/targets-<data>-<hardware>-<date>.json.
"""

import argparse
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.statistics import PairedInterval, paired_interval, spread
from benchmarks.record import RESULTS, write_results
from study.prepare import VIEW_SEED
from trainables.cckd.assemble import assemble, assemble_test, teacher_counts
from trainables.cckd.bundle import Images, TestData, TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.data import LongTailData, load_data, parse_data
from trainables.cckd.metrics import balanced_accuracy
from trainables.cckd.teacher.backbone import build_backbone
from trainables.cckd.teacher.features import extract
from trainables.cckd.teacher.fit import FittedTeacher, fit_teacher
from trainables.cckd.teacher.spec import TARGETS, TeacherSpec, check_teacher
from trainables.cckd.trainer import Trainer
from trainables.cckd.viewing import images_of, training_views

RUNGS = ("cckd", "acckd")
FIRST_SEED = 1001


@dataclass(frozen=True)
class Run:
    """One trained student."""

    rung: str
    targets: str
    seed: int
    test_balanced_accuracy: float


@dataclass(frozen=True)
class _World:
    """What every run shares; forked processes read the parent's."""

    bundles: dict[str, TrialData]
    test: TestData
    epochs: int


def main(argv: Sequence[str] | None = None) -> int:
    """Train every (rung, targets, seed), print the table, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.targets", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--data-root", default="data", type=Path, help="where data sets lie (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=6, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, help="default: the data set's")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: one a core")
    args = parser.parse_args(argv)
    load_before = os.getloadavg()[0]
    data = load_data(parse_data(args.data), data_root=args.data_root.absolute())
    bundles, teachers = prepare(data, args.workers)
    world = _World(bundles, assemble_test(data), args.epochs or data.spec.info.default_epochs)
    asked = [(rung, targets, FIRST_SEED + k) for k in range(args.seeds) for rung in RUNGS for targets in TARGETS]
    with multiprocessing.get_context("fork").Pool(args.workers, _adopt, (world,)) as pool:
        runs = []
        for run in pool.imap(_train, asked):
            print(f"{run.rung:<6} {run.targets:<12} seed {run.seed}: {run.test_balanced_accuracy:.4f}", flush=True)
            runs.append(run)
    differences = {rung: difference(runs, rung) for rung in RUNGS}
    print(table(runs, differences, teachers))
    raw = {
        "data": str(data.spec),
        "epochs": world.epochs,
        "teachers": teachers,
        "out_of_fold_minus_in_fold": {rung: asdict(interval) for rung, interval in differences.items()},
        "runs": [asdict(run) for run in runs],
    }
    path = write_results(RESULTS, [], raw, load_before=load_before, what=f"targets-{data.spec.name}")
    print(f"raw numbers: {path}")
    return 0


def prepare(data: LongTailData, workers: int) -> tuple[dict[str, TrialData], dict[str, dict[str, Any]]]:
    """Targets -> the bundle that holds them, and how the teacher did; the teacher sees every view once."""
    spec = TeacherSpec()
    file = check_teacher(spec)
    size = spec.input_size(file, *data.image_shape[1:])
    views = training_views(data, spec.views, seed=VIEW_SEED)
    train = _features(images_of(data.train), views, size, workers)
    val = _features(images_of(data.val), None, size, workers)
    bundles, teachers = {}, {}
    for targets in TARGETS:
        fitted = _fit(targets, data, train, val)
        state = fitted.readout.state(name=spec.name, size=size, weights=spec.weights, sha256=file.sha256)
        bundles[targets] = assemble(data, views, train, fitted, state)
        on_val = teacher_counts(fitted.readout, val, data.val.labels, n_classes=len(data.class_names))
        teachers[targets] = {
            "target_accuracy": fitted.target_accuracy,
            "val_balanced_accuracy": balanced_accuracy(on_val),
            "prior_distance": fitted.prior_distance,
        }
    return bundles, teachers


def difference(runs: Sequence[Run], rung: str) -> PairedInterval:
    """Out of fold minus in fold, test balanced accuracy, paired by seed."""
    found = {(run.targets, run.seed): run.test_balanced_accuracy for run in runs if run.rung == rung}
    seeds = sorted({seed for _, seed in found})
    return paired_interval(found["out_of_fold", seed] - found["in_fold", seed] for seed in seeds)


def table(runs: Sequence[Run], differences: dict[str, PairedInterval], teachers: dict[str, dict[str, Any]]) -> str:
    """The comparison as a Markdown table, in per cent and points."""
    right = ", ".join(f"{name} {100 * teacher['target_accuracy']:.1f} %" for name, teacher in teachers.items())
    lines = [
        f"Targets that name the right class: {right}.",
        "",
        "| rung | in fold | out of fold | difference (95 % t interval) | |",
        "|---|---|---|---|---|",
    ]
    for rung, interval in differences.items():
        cells = []
        for targets in TARGETS:
            of = spread(r.test_balanced_accuracy for r in runs if (r.rung, r.targets) == (rung, targets))
            cells.append(f"{100 * of.mean:.1f} ± {100 * of.sd:.1f}")
        found = f"{100 * interval.mean:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"
        lines.append(f"| {rung} | {cells[0]} | {cells[1]} | {found} | {interval.verdict} |")
    return "\n".join(lines)


def _fit(targets: str, data: LongTailData, train: np.ndarray, val: np.ndarray) -> FittedTeacher:
    spec, n_classes = TeacherSpec(targets=targets), len(data.class_names)
    return fit_teacher(spec, train, data.train.labels, val, data.val.labels, n_classes=n_classes)


def _features(images: Images, views: np.ndarray | None, size: int, workers: int) -> np.ndarray:
    pieces = [piece for piece in np.array_split(np.arange(len(images)), 4 * workers) if len(piece)]
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, torch.set_num_threads, (1,)) as pool:
        arguments = [
            (
                images[rows] if isinstance(images, np.ndarray) else images.take(rows),
                views if views is None else views[rows],
            )
            for rows in pieces
        ]
        return np.concatenate(pool.starmap(_Extract(size), arguments, chunksize=1))


@dataclass(frozen=True)
class _Extract:
    size: int

    def __call__(self, images: Images, views: np.ndarray | None) -> np.ndarray:
        return extract(build_backbone(check_teacher(TeacherSpec()), size=self.size), images, views)


_world: _World


def _adopt(world: _World) -> None:
    global _world
    _world = world


def _train(asked: tuple[str, str, int]) -> Run:
    rung, targets, seed = asked
    config = TrialConfig.build({"method": rung, "epochs": _world.epochs, "seed": seed})
    trainer = Trainer(config, _world.bundles[targets], threads=1)
    for _ in trainer:
        pass
    counts = trainer.evaluate(_world.test.images, _world.test.labels)
    return Run(rung, targets, seed, balanced_accuracy(counts))


if __name__ == "__main__":
    raise SystemExit(main())
