"""The truth that methods are held against: real trainings of points spread evenly over a space.

    python -m benchmarks.response_surface --minutes 120
    python -m benchmarks.response_surface --data cifar10_lt:n_max=500,ir=100 --data-root DIR --points 120 \
        --set student=resnet8_cifar

Every point of one Sobol sequence over the space is trained to the end by the recipe `field`, and the first of them on
more seeds. A run is evaluated on D_val at 20 evenly spaced epochs and on test after the last. Each finished run is one
row of benchmarks/results/response_surface-<data set>.parquet. Runs that stand there are not trained again, so the work
can be stopped at any time.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.record import RESULTS, hardware_name
from benchmarks.seeds import FIRST_SEED
from benchmarks.students import Student, Task, World, make_world, setting_of, train_students
from search_spaces.knob import KnobValue
from search_spaces.registry import get_space
from search_spaces.space import SearchSpace
from study.planning.manifest import git_commit, hardware
from study.strategy.space_filling import sobol_point
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.spec import parse_data
from trainables.cckd.files.atomic import replacing
from trainables.cckd.precision import PRECISIONS
from trainables.cckd.teacher.spec import TeacherSpec

#: Seed of the Sobol sequence.
_SOBOL_SEED = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Train the runs that are not recorded yet, until the minutes are over; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.response_surface", description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--data-root", default="data", type=Path, help="default: %(default)s")
    parser.add_argument("--space", default="acckd_full", help="default: %(default)s")
    parser.add_argument("--points", type=int, default=256, help="default: %(default)s")
    parser.add_argument("--repeated", type=int, default=32, help="points on more than one seed (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=4, help="seeds of those points (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replaces one of the recipe")
    parser.add_argument("--precision", default="bfloat16", choices=PRECISIONS, help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=120.0, help="length of this part (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: one per core")
    args = parser.parse_args(argv)
    started, spec, space = monotonic(), parse_data(args.data), get_space(args.space)
    recipe, path = spec.info.recipe("field"), path_of(spec.info.name)
    settings = recipe.training | dict(setting_of(text) for text in args.set)
    rows = read_rows(path)
    planned = {
        _key(str(spec), args.precision, config): (point, config) for point, config in _planned(space, settings, args)
    }
    known = {_key(row["data"], row["precision"], _config(row)) for row in rows.to_dict("records")}
    runs = {key: planned[key] for key in planned if key not in known}
    print(f"{len(planned) - len(runs)} runs recorded, {len(runs)} to train", flush=True)
    if not runs:
        return 0
    teacher = TeacherSpec(views=recipe.teacher_views, size=recipe.teacher_size)
    world = make_world(spec, args.data_root, teacher, args.workers)
    about = {"data": str(spec), "where": f"{hardware_name(hardware('cpu'))} {git_commit()}"}
    tasks = [Task(config, args.precision, opens_test=True) for _, config in runs.values()]
    for student in train_students(tasks, world, args.workers):
        config = student.task.config
        point, _ = runs[_key(str(spec), args.precision, config)]
        row = _row(point, space, student, world) | about
        rows = pd.concat([rows, pd.DataFrame([row])], ignore_index=True)
        with replacing(path) as beside:
            rows.to_parquet(beside, compression="zstd", index=False)
        print(f"{len(rows)}: point {point} seed {config['seed']}: {_told(row)}", flush=True)
        if monotonic() - started > 60 * args.minutes:
            break
    return 0


def path_of(data_set: str) -> Path:
    """Return the file of a data set's rows."""
    return RESULTS / f"response_surface-{data_set}.parquet"


def read_rows(path: Path) -> pd.DataFrame:
    """Return one row per finished run.

    Columns: point (index in the Sobol sequence), seed, params (JSON: the active knobs), settings (JSON: the rest of the
    flat configuration), precision, epochs (E,), val (E, C) and test (C,) correct answers, val_seen and test_seen (C,)
    images, train_counts (C,), train_s, data, where. `epochs` and `val` are empty and `test` is missing where the
    training diverged.
    """
    return pd.read_parquet(path) if path.exists() else pd.DataFrame()


def _planned(
    space: SearchSpace, settings: dict[str, Any], args: argparse.Namespace
) -> list[tuple[int, dict[str, Any]]]:
    """Every (point, flat configuration): all points on the first seed, then the first points on the other seeds."""
    points = [active_point(space, index) for index in range(args.points)]
    runs = [(index, 0) for index in range(args.points)]
    runs += [(index, k) for k in range(1, args.seeds) for index in range(min(args.repeated, args.points))]
    return [
        (index, TrialConfig.build({**settings, **space.config(points[index]), "seed": FIRST_SEED + k}).flat())
        for index, k in runs
    ]


def _config(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the flat configuration of a recorded run."""
    return json.loads(row["settings"]) | json.loads(row["params"]) | {"seed": row["seed"]}


def _key(data: str, precision: str, config: Mapping[str, Any]) -> str:
    """Return what tells a run from all others."""
    return json.dumps([data, precision, dict(config)], sort_keys=True)


def active_point(space: SearchSpace, index: int) -> dict[str, KnobValue]:
    """Return a point of the sequence; an inactive knob is absent."""
    return space.active(sobol_point(space, _SOBOL_SEED, index))


def _row(point: int, space: SearchSpace, student: Student, world: World) -> dict[str, Any]:
    config = student.task.config
    searched = {name: config[name] for name in space.distributions if name in config}
    return {
        "point": point,
        "seed": config["seed"],
        "params": json.dumps(searched),
        "settings": json.dumps({name: value for name, value in config.items() if name not in (*searched, "seed")}),
        "precision": student.task.precision,
        "epochs": list(student.val),
        "val": list(student.val.values()),
        "test": student.test,
        "val_seen": world.val_seen,
        "test_seen": world.test_seen,
        "train_counts": world.data.counts.tolist(),
        "train_s": student.train_s,
    }


def _told(row: dict[str, Any]) -> str:
    if not row["val"]:
        return "diverged"
    return f"{100 * np.mean(np.divide(row['val'][-1], row['val_seen'])):.1f} on D_val"


if __name__ == "__main__":
    raise SystemExit(main())
