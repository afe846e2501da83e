"""Hold the numbers of two commits against each other to the last bit: every rung's losses and a small whole study.

    python -m benchmarks.same_numbers 9da153e .

Each side trains through its own `python -m study.run`, so its modules may have any names. All of it runs with this
interpreter on this machine: on the processor, in float32, with one thread and one worker.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

#: method -> knob or setting -> values; the first value of each is the method's reference. A grid search trains every
#: combination, so that each rung is trained at its reference and in the variants that reach other code.
RUNGS: Mapping[str, Mapping[str, Sequence[str | float | bool]]] = {
    "ce": {"schedule": ("one_cycle", "cosine")},
    "la": {"tau": (1.0, 0.5)},
    "kd": {"tau": (1.0, 0.5), "temperature": (2.0, 4.0)},
    "cckd": {"estimator": ("batch", "prior"), "use_kd": (False, True), "kd_weight": (0.5,)},
    "acckd_no_fi": {"mix_op": ("mixup", "cutmix"), "mix_targets": ("interpolate", "forward"), "tau": (1.0, 0.5)},
    "acckd": {
        "estimator": ("batch", "prior"),
        "mix_op": ("mixup", "cutmix"),
        "mix_targets": ("interpolate", "forward"),
        "use_kd": (False, True),
        "kd_weight": (0.5,),
    },
}

#: Knobs that exist only beside a value of another.
_ONLY_WHERE = {"kd_weight": {"use_kd": True}}

#: The teacher at its smallest; two views, so that the third epoch of a rung comes back to the first view.
_COMMON = (
    "--data", "digits_lt", "--teacher-size", "32", "--teacher-views", "2",
    "--device", "cpu", "--precision", "float32", "--cpus-per-trial", "1", "--max-concurrent", "1",
)  # fmt: skip
_SMOKE = ("--space", "acckd_smoke", "--trials", "6", "--epochs", "8", "--confirm-seeds", "2", "--seed", "3")

#: Tables of every study folder that hold numbers of trainings, and their columns that hold seconds.
_TABLES = ("trials.csv", "epochs.parquet", "confirm.csv", "classes.csv", "confusion.csv", "separability.csv")
_SECONDS = {"duration_s", "train_s", "eval_s"}

Rows = list[dict[str, str]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 where all numbers are equal and 1 where one differs."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.same_numbers", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("before", metavar="A", help="a commit, or the folder of a checkout")
    parser.add_argument("after", metavar="B", help="a commit, or the folder of a checkout")
    parser.add_argument("--seeds", type=int, default=2, help="studies of each rung (default: %(default)s)")
    args = parser.parse_args(argv)
    before, after = (numbers_of(side, args.seeds) for side in (args.before, args.after))
    differences = {name: first_difference(rows, after[name]) for name, rows in before.items()}
    for name, difference in differences.items():
        print(f"{name:<34} {difference or 'equal'}")
    n_different = sum(difference is not None for difference in differences.values())
    print(f"{len(differences)} tables compared, {n_different} differ")
    return int(n_different > 0)


def numbers_of(side: str, seeds: int) -> dict[str, Rows]:
    """Run every study of one side, those of rungs on `seeds` seeds; return the rows of its tables by `study/table`."""
    started = time.perf_counter()
    with _checkout(side) as checkout, tempfile.TemporaryDirectory() as name:
        runs = Path(name)
        for method, seed in product(RUNGS, range(1, seeds + 1)):
            _train_rung(checkout, runs, method, seed)
        _run_study(checkout, runs, "smoke", *_SMOKE)
        commit = json.loads((runs / "smoke" / "study.json").read_text())["git_commit"]
        print(f"{side}: commit {commit}, {time.perf_counter() - started:.0f} s", flush=True)
        studies = sorted(manifest.parent.name for manifest in runs.glob("*/study.json"))
        tables = [*(f"{study}/{table}" for study, table in product(studies, _TABLES)), "smoke/finalists.csv"]
        return {table: rows_of(runs / table) for table in tables}


def first_difference(before: Rows, after: Rows) -> str | None:
    """Return where two tables differ first, None where they are equal."""
    for number, (ours, theirs) in enumerate(zip(before, after, strict=False)):
        for column in {**ours, **theirs}:
            if ours.get(column) != theirs.get(column):
                return f"row {number}, {column}: {ours.get(column)} in A, {theirs.get(column)} in B"
    return None if len(before) == len(after) else f"{len(before)} rows in A, {len(after)} in B"


def rows_of(path: Path) -> Rows:
    """Read a table without the columns of seconds; Python's text of a float keeps every bit."""
    rows: list[dict[str, Any]]
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        rows = pq.read_table(path).to_pylist()
    else:
        with path.open(newline="") as handle:
            rows = list(csv.DictReader(handle))
    return [{column: str(value) for column, value in row.items() if column not in _SECONDS} for row in rows]


@contextmanager
def _checkout(side: str) -> Iterator[Path]:
    """The folder of a side: the one it names, or a worktree that goes when it is left."""
    if Path(side).is_dir():
        yield Path(side).resolve()
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "checkout"
        _git("worktree", "add", "--quiet", "--detach", str(folder), side)
        try:
            yield folder
        finally:
            _git("worktree", "remove", "--force", str(folder))


def _git(*argv: str) -> None:
    subprocess.run(["git", *argv], cwd=ROOT, check=True)


def _train_rung(checkout: Path, runs: Path, method: str, seed: int) -> None:
    """Train a method's combinations for three epochs on D_val, and each once more on the test set."""
    knobs = {
        knob: {"choices": values, "unit": "1", "reason": "to reach its code", "reference": values[0]}
        | ({"only_where": _ONLY_WHERE[knob]} if knob in _ONLY_WHERE else {})
        for knob, values in RUNGS[method].items()
    }
    n_trials = prod(map(len, RUNGS[method].values()))
    space = {"name": method, "purpose": "Are the numbers the same?", "method": method, "trials": n_trials}
    path = runs / f"{method}.yaml"
    path.write_text(json.dumps(space | {"knobs": knobs}))  # JSON is YAML too
    search = ("--space", str(path), "--sampler", "grid", "--epochs", "3", "--pruner", "none", "--seed", str(seed))
    test = ("--finalists", "0", "--confirm-top", str(n_trials), "--confirm-seeds", "1")
    _run_study(checkout, runs, f"{method}-{seed}", *search, *test)


def _run_study(checkout: Path, runs: Path, name: str, *argv: str) -> None:
    folders = ("--out", str(runs), "--data-root", str(runs / "data"), "--name", name)
    ended = subprocess.run(
        [sys.executable, "-m", "study.run", *_COMMON, *folders, *argv],
        cwd=checkout, env=os.environ | {"PYTHONPATH": str(checkout)}, capture_output=True, text=True,
    )  # fmt: skip
    if ended.returncode:
        raise RuntimeError(f"study {name} in {checkout} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")


if __name__ == "__main__":
    sys.exit(main())
