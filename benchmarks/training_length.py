"""How long must a student train until its rung is done?

    python -m benchmarks.training_length --rungs la,kd --epochs 60,120 --setting "batch_size=32 lr=0.15"
    python -m benchmarks.training_length --table

Every rung is trained at its reference point on the same seeds, and evaluated on D_val at 20 evenly spaced epochs. The
test set is opened with --test only: length, batch, schedule and rate are chosen on D_val. One line per finished run is
appended to benchmarks/results/training_length.jsonl; runs that stand there are not trained again, except for their
results on the test set.

The table has one row per rung and setting: D_val at the end, overall and by group, and how much twice the length adds.
A second table has the paired differences from the rungs la, kd and cckd at their reference points, and those of a
changed rung from itself, and what twice the length adds to them.
A rung is trained out where the upper 95 % bound of what twice the length adds to it is below 1.5 points (standard
deviation pooled over the rungs of a setting).
"""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.length_tables import Row, differences, read_rows, table
from benchmarks.record import RESULTS, hardware_name
from benchmarks.seeds import FIRST_SEED
from benchmarks.students import Student, Task, World, make_world, setting_of, train_students
from study.planning.manifest import git_commit, hardware
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.spec import parse_data
from trainables.cckd.methods import METHODS
from trainables.cckd.precision import PRECISIONS
from trainables.cckd.teacher.spec import FEATURES, FITTED, TeacherSpec

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
    known = {row.key for row in read_rows(ROWS) if row.test or not args.test}
    # Settings that differ in knobs of other rungs only give a rung the same configuration.
    wanted = {json.dumps(config): config for config in _configs(args)}
    tasks = [
        Task(config, args.precision, args.test)
        for key, config in wanted.items()
        if (str(spec), named, args.precision, key) not in known
    ]
    if not tasks:
        return
    world = make_world(spec, args.data_root, teacher, args.workers)
    where = f"{hardware_name(hardware('cpu'))} {git_commit()}"
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    for student in train_students(tasks, world, args.workers):
        if not student.val:
            print(f"diverged: {student.task.config}", flush=True)
            continue
        row = _row(student, world, data=str(spec), teacher=named, where=where)
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
            given = dict(setting_of(pair) for pair in setting.split())
            for epochs in map(int, args.epochs.split(",")):
                for rung in args.rungs.split(","):
                    own = {key: value for key, value in given.items() if key in METHODS[rung] or key not in _KNOBS}
                    yield TrialConfig.build({"method": rung, "epochs": epochs, "seed": FIRST_SEED + k, **own}).flat()


#: A rung ignores a knob of a setting that only other rungs use.
_KNOBS = {knob for method in METHODS.values() for knob in method}


def _row(student: Student, world: World, **where: str) -> Row:
    return Row(
        config=student.task.config,
        precision=student.task.precision,
        val={str(epoch): correct for epoch, correct in student.val.items()},
        val_seen=world.val_seen,
        train_counts=world.data.counts.tolist(),
        test=None if student.test is None else {"correct": student.test, "seen": world.test_seen},
        train_s=student.train_s,
        **where,
    )


if __name__ == "__main__":
    raise SystemExit(main())
