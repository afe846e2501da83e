"""How long must a student train until its rung is done?

    python -m benchmarks.training_length --rungs la,kd --epochs 60,120 --setting "batch_size=32 lr=0.15"
    python -m benchmarks.training_length --table

Every rung is trained at its reference point on the same seeds, and evaluated on D_val at 20 evenly spaced epochs. The
test set is opened with --test only: length, batch, schedule and rate are chosen on D_val. One line per finished run is
appended to benchmarks/results/training_length.jsonl; runs that stand there are not trained again.

The table has one row per rung and setting: D_val at the end, overall and by group, and how much twice the length adds.
A second table has the paired differences from the rungs la, kd and cckd at their reference points.
A rung is trained out where the upper 95 % bound of that difference is below 1.5 points (standard deviation pooled over
the rungs of a setting).
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.length_tables import Row, differences, read_rows, table
from benchmarks.record import RESULTS, hardware_name
from benchmarks.seeds import FIRST_SEED
from benchmarks.targets import prepare
from study.planning.manifest import git_commit, hardware
from trainables.cckd.bundle.assemble import assemble_test
from trainables.cckd.bundle.trial_data import TestData, TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.load import load_data
from trainables.cckd.data.spec import parse_data
from trainables.cckd.methods import METHODS
from trainables.cckd.precision import PRECISIONS, Precision
from trainables.cckd.records import curve_epochs
from trainables.cckd.teacher.spec import FEATURES, FITTED, TeacherSpec
from trainables.cckd.training.trainer import Trainer

#: One row per finished run.
ROWS = RESULTS / "training_length.jsonl"


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is asked for and not yet recorded, then print the table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_length", description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--data-root", default="data", type=Path, help="default: %(default)s")
    parser.add_argument("--teacher-form", default="linear_probe", choices=FITTED, help="default: %(default)s")
    parser.add_argument("--teacher-tau", default=1.0, type=float, help="default: %(default)s")
    parser.add_argument("--teacher-views", default=8, type=int, help="default: %(default)s")
    parser.add_argument("--teacher-features", default="final", choices=FEATURES, help="default: %(default)s")
    parser.add_argument("--teacher-size", type=int, help="pixels (default: the model's own for these images)")
    parser.add_argument("--rungs", default="la,kd,cckd,acckd", help="default: %(default)s")
    parser.add_argument("--epochs", default="", help="numbers of epochs, separated by commas")
    parser.add_argument(
        "--setting",
        action="append",
        metavar="'KEY=VALUE ...'",
        help="knobs and training settings that differ from the reference; repeat it for several settings",
    )
    parser.add_argument("--seeds", type=int, default=6, help="default: %(default)s")
    parser.add_argument("--precision", default="float32", choices=PRECISIONS, help="default: %(default)s")
    parser.add_argument("--test", action="store_true", help="open the test set")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: one per core")
    parser.add_argument("--table", action="store_true", help="print the table and train nothing")
    args = parser.parse_args(argv)
    if not args.table:
        _train_missing(args)
    rows = read_rows(ROWS)
    print(f"{table(rows)}\n\n{differences(rows)}")
    return 0


@dataclass(frozen=True)
class _Task:
    config: dict[str, Any]
    precision: Precision
    opens_test: bool


@dataclass(frozen=True)
class _World:
    data: TrialData
    test: TestData


_world: _World


def _adopt(world: _World) -> None:
    global _world
    _world = world


def _train_missing(args: argparse.Namespace) -> None:
    spec = parse_data(args.data)
    teacher = TeacherSpec(
        form=args.teacher_form,
        tau=args.teacher_tau,
        views=args.teacher_views,
        features=args.teacher_features,
        size=args.teacher_size,
    )
    named = _named(teacher)
    # A row of an earlier version lacks the settings that came later; they stood at their defaults.
    known = {
        (row.data, row.teacher, row.precision, json.dumps(TrialConfig.build(row.config).flat()))
        for row in read_rows(ROWS)
    }
    # Settings that differ in knobs of other rungs only give a rung the same configuration.
    wanted = {json.dumps(config): config for config in _configs(args)}
    tasks = [
        _Task(config, args.precision, args.test)
        for key, config in wanted.items()
        if (str(spec), named, args.precision, key) not in known
    ]
    if not tasks:
        return
    data = load_data(spec, data_root=args.data_root.absolute())
    bundle = prepare(data, args.workers, spec=teacher, targets=("in_fold",))[0]["in_fold"]
    where = f"{hardware_name(hardware('cpu'))} {git_commit()}"
    world = _World(bundle, assemble_test(data))
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("fork").Pool(args.workers, _adopt, (world,)) as pool:
        for found in pool.imap_unordered(_train, tasks):
            row = Row(data=str(spec), teacher=named, where=where, **found)
            with ROWS.open("a") as file:
                file.write(row.to_json() + "\n")
            print(f"{row.rung} {row.config['epochs']} seed {row.config['seed']}: {row.at_end['all']:.1f}", flush=True)


def _named(teacher: TeacherSpec) -> str:
    """Name a teacher by form and views, and by what differs from the default."""
    changed = [
        f"tau={teacher.tau:g}" if teacher.tau != 1 else "",
        teacher.features if teacher.features != FEATURES[0] else "",
        f"{teacher.size}px" if teacher.size else "",
    ]
    return "/".join([f"{teacher.form}/{teacher.views}", *filter(None, changed)])


def _configs(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for k in range(args.seeds):
        for setting in args.setting or [""]:
            given = {key: _value(text) for key, _, text in (pair.partition("=") for pair in setting.split())}
            for epochs in map(int, args.epochs.split(",")):
                for rung in args.rungs.split(","):
                    own = {key: value for key, value in given.items() if key in METHODS[rung] or key not in _KNOBS}
                    yield TrialConfig.build({"method": rung, "epochs": epochs, "seed": FIRST_SEED + k, **own}).flat()


#: A rung ignores a knob of a setting that only other rungs use.
_KNOBS = {knob for method in METHODS.values() for knob in method}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _train(task: _Task) -> dict[str, Any]:
    config = TrialConfig.build(task.config)
    trainer = Trainer(config, _world.data, precision=task.precision, threads=1, evaluated=curve_epochs(config.epochs))
    records = list(trainer)
    evaluated = {str(record.epoch): record.val for record in records if record.val is not None}
    test = None
    if task.opens_test:
        on_test = trainer.evaluate(_world.test.images, _world.test.labels)
        test = {"correct": list(on_test.correct), "seen": list(on_test.seen)}
    return {
        "config": task.config,
        "precision": task.precision,
        "val": {epoch: list(counts.correct) for epoch, counts in evaluated.items()},
        "val_seen": list(evaluated[str(config.epochs)].seen),
        "train_counts": _world.data.counts.tolist(),
        "test": test,
        "train_s": round(sum(record.train_s for record in records), 2),
    }


if __name__ == "__main__":
    raise SystemExit(main())
