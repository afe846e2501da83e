"""The truth that methods are held against: real trainings of points spread evenly over a space.

    python -m benchmarks.response_surface --minutes 120
    python -m benchmarks.response_surface --data cifar10_lt:n_max=200,ir=50 --data-root DIR --points 120 \
        --precision bfloat16 --set student=resnet8_cifar --set epochs=60 --set batch_size=32 --set lr=0.15 \
        --set nesterov=true --set weight_decay=0.0005 --set schedule=one_cycle

Every point of one Sobol sequence over the space is trained to the end by the recipe `field`, and the first of them on
more seeds. A run is evaluated on D_val at 20 evenly spaced epochs and on test after the last. Each finished run is one
row of benchmarks/results/response_surface-<data set>.parquet. Runs that stand there are not trained again, so the work
can be stopped at any time. A file holds one training: the same data, precision and settings, the same searched knobs,
and one set of their values per point. Runs of another one are refused.
"""

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
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

#: Begins the name of a point in the description of a run.
_POINT = "point "

#: Differences that an error names; it counts the others.
_MOST_TOLD = 6


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
    plan = _planned(space, settings, args)
    described = [_description(str(spec), args.precision, point, *_parts(config, space)) for point, config in plan]
    if other := _differences([*_recorded(rows), *described]):
        raise SystemExit(
            f"error: {path} holds runs of another training, which differs from this one by {other}; start this command "
            "as that training was started, or keep this one in another folder, which CCKD_RESULTS=DIR names"
        )
    planned = {_key(str(spec), args.precision, config): (point, config) for point, config in plan}
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


def recorded_rows(data_set: str) -> pd.DataFrame:
    """Return the rows of a data set, as `read_rows` does.

    Raises:
        SystemExit: it has none, or they are of several trainings.
    """
    rows = read_rows(path_of(data_set))
    if rows.empty:
        there = sorted(path.stem.removeprefix(path_of("").stem) for path in RESULTS.glob(path_of("*").name))
        raise SystemExit(
            f"error: --data must be a set whose trainings are recorded ({', '.join(there)}); got {data_set!r}; "
            "python -m benchmarks.response_surface records them"
        )
    return rows


def read_rows(path: Path) -> pd.DataFrame:
    """Return one row per finished run.

    Columns: point (index in the Sobol sequence), seed, params (JSON: the active knobs), settings (JSON: the rest of the
    flat configuration), precision, epochs (E,), val (E, C) and test (C,) correct answers, val_seen and test_seen (C,)
    images, train_counts (C,), train_s, data, where. `epochs` and `val` are empty and `test` is missing where the
    training diverged.

    Raises:
        SystemExit: the rows are of several trainings; names the file and what differs.
    """
    rows = pd.read_parquet(path) if path.exists() else pd.DataFrame()
    if mixed := _differences(_recorded(rows)):
        raise SystemExit(
            f"error: {path} mixes runs of several trainings, which differ by {mixed}; keep the runs of one of them in "
            "it, and the others in a file of the same name in another folder, which CCKD_RESULTS=DIR names"
        )
    return rows


def _recorded(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The description of each recorded run."""
    for row in rows.to_dict("records"):
        params, settings = json.loads(row["params"]), json.loads(row["settings"])
        yield _description(row["data"], row["precision"], row["point"], params, settings)


def _description(
    data: str, precision: str, point: int, params: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Name -> what all runs of one training that have the name have in common; a point may lack an inactive knob."""
    searched = dict.fromkeys(params, "searched")
    return {"data": data, "precision": precision, **settings, **searched, f"{_POINT}{point}": dict(params)}


def _differences(runs: Iterable[Mapping[str, Any]]) -> str:
    """Return in words where the descriptions of runs differ; empty where they are of one training."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, value in run.items():
            found.setdefault(name, {})[json.dumps(value, sort_keys=True)] = None
    several = {name: values for name, values in found.items() if len(values) > 1}
    # Where another space is searched, all points differ, which says nothing more.
    several = {name: values for name, values in several.items() if not name.startswith(_POINT)} or several
    differ = [
        f"{name} {' and '.join(shorten(value, 60, placeholder=' ...') for value in values)}"
        for name, values in several.items()
    ]
    rest = [f"and {len(differ) - _MOST_TOLD} more"] if len(differ) > _MOST_TOLD else []
    return ", ".join([*differ[:_MOST_TOLD], *rest])


def _parts(config: Mapping[str, Any], space: SearchSpace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a flat configuration into the active knobs that the space searches and the rest but the seed."""
    searched = {name: config[name] for name in space.distributions if name in config}
    return searched, {name: value for name, value in config.items() if name not in (*searched, "seed")}


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
    params, settings = _parts(config, space)
    return {
        "point": point,
        "seed": config["seed"],
        "params": json.dumps(params),
        "settings": json.dumps(settings),
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
