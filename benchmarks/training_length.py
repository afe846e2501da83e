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
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from analysis.stats.paired_tests import paired_interval, spread
from analysis.stats.pooled_interval import pooled_intervals
from benchmarks.record import RESULTS, hardware_name
from benchmarks.seeds import FIRST_SEED
from benchmarks.targets import prepare
from study.planning.manifest import git_commit, hardware
from trainables.cckd.bundle.assemble import assemble_test
from trainables.cckd.bundle.trial_data import TestData, TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.load import load_data
from trainables.cckd.data.spec import parse_data
from trainables.cckd.long_tail import groups_of
from trainables.cckd.methods import METHODS
from trainables.cckd.metrics import balanced_accuracy, group_accuracy
from trainables.cckd.precision import PRECISIONS, Precision
from trainables.cckd.records import ClassCounts, curve_epochs
from trainables.cckd.teacher.spec import FITTED, TeacherSpec
from trainables.cckd.training.trainer import Trainer

#: One row per finished run.
ROWS = RESULTS / "training_length.jsonl"

#: Most points that twice the length may add to a rung that is trained out.
LIMIT = 1.5

#: The rungs, at their reference points, that the others are compared with.
BASELINES = ("la", "kd", "cckd")

#: What differs between the runs of one setting.
_VARIES = ("method", "seed", "epochs")


@dataclass(frozen=True)
class Row:
    """One trained student.

    Attributes:
        data: the data set as on the command line.
        teacher: form and number of views of the teacher.
        config: the flat configuration.
        val: epoch -> correct answers per class on D_val, (C,).
        val_seen: images of D_val per class, (C,).
        train_counts: training images per class, (C,).
        test: correct answers per class on the test set, and its images per class; None where it stayed closed.
        train_s: seconds of the training epochs.
        where: machine and commit.
        precision: number format of the student's passes.
    """

    data: str
    teacher: str
    config: dict[str, Any]
    val: dict[str, list[int]]
    val_seen: list[int]
    train_counts: list[int]
    test: dict[str, list[int]] | None
    train_s: float
    where: str
    precision: Precision = "float32"

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Inverse of `to_json`."""
        return cls(**json.loads(line))

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @property
    def setting(self) -> str:
        """All that is equal for the rungs that are compared: data, teacher, precision, batch, optimiser, schedule."""
        own = METHODS[self.config["method"]]
        shared = {key: value for key, value in self.config.items() if key not in (*_VARIES, *own)}
        reference = TrialConfig.build({"method": "ce"}).flat()
        changed = [f"{key}={value}" for key, value in shared.items() if value != reference.get(key)]
        precision = [] if self.precision == "float32" else [self.precision]
        return " ".join([self.data, self.teacher, *precision, *changed])

    @property
    def rung(self) -> str:
        """The method, with the knobs that are not at its reference."""
        method = self.config["method"]
        reference = METHODS[method]
        own = {key: value for key, value in self.config.items() if key in reference and value != reference[key]}
        changed = [f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in own.items()]
        return " ".join([method, *changed])

    def accuracy(self, correct: Sequence[int], seen: Sequence[int]) -> dict[str, float]:
        """Balanced accuracy and the mean recall of each group, in per cent."""
        counts, groups = ClassCounts(tuple(correct), tuple(seen)), groups_of(self.train_counts)
        members = {"many": groups.many, "medium": groups.medium, "few": groups.few}
        found = {"all": balanced_accuracy(counts)}
        found |= {name: group_accuracy(counts, classes).value for name, classes in members.items() if classes}
        return {name: 100 * value for name, value in found.items()}

    @property
    def at_end(self) -> dict[str, float]:
        """`accuracy` on D_val after the last epoch."""
        return self.accuracy(self.val[str(self.config["epochs"])], self.val_seen)

    @property
    def on_test(self) -> float:
        """Balanced accuracy on the test set, in per cent; NaN where it stayed closed."""
        return self.accuracy(self.test["correct"], self.test["seen"])["all"] if self.test else float("nan")


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is asked for and not yet recorded, then print the table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_length", description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--data-root", default="data", type=Path, help="default: %(default)s")
    parser.add_argument("--teacher-form", default="linear_probe", choices=FITTED, help="default: %(default)s")
    parser.add_argument("--teacher-tau", default=1.0, type=float, help="default: %(default)s")
    parser.add_argument("--teacher-views", default=8, type=int, help="default: %(default)s")
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


def read_rows(path: Path) -> list[Row]:
    """Return every recorded run."""
    return [Row.from_json(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(rows: Sequence[Row]) -> str:
    """As Markdown, in per cent and points: the mean over seeds, and what twice the length adds."""
    lines = [
        "| setting | rung | epochs | steps | n | D_val | many | medium | few | twice the length adds (upper bound) "
        "| test | s per run |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for setting in dict.fromkeys(row.setting for row in rows):
        of_setting = [row for row in rows if row.setting == setting]
        added = _added(of_setting)
        for (rung, epochs), runs in _by_rung(of_setting).items():
            ends = [row.at_end for row in runs]
            mean = {name: float(np.mean([end[name] for end in ends])) for name in ends[0]}
            more = added.get((rung, epochs))
            tests = [row.on_test for row in runs if row.test]
            cells = [
                setting,
                rung,
                epochs,
                epochs * (sum(runs[0].train_counts) // runs[0].config["batch_size"]),
                len(runs),
                _mean_sd([end["all"] for end in ends]),
                *(f"{mean[name]:.1f}" if name in mean else "" for name in ("many", "medium", "few")),
                _told(*more) if more else "",
                _mean_sd(tests) if tests else "",
                f"{np.mean([row.train_s for row in runs]):.0f}",
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def differences(rows: Sequence[Row]) -> str:
    """As Markdown, in points: every rung minus each of BASELINES before it, paired by seed, with 95 % t intervals."""
    lines = ["| setting | epochs | difference | n | D_val | few on D_val | test |", "|---|---|---|---|---|---|---|"]
    for setting in dict.fromkeys(row.setting for row in rows):
        by_rung = _by_rung([row for row in rows if row.setting == setting])
        for (rung, epochs), runs in sorted(by_rung.items(), key=_place):
            for baseline in BASELINES:
                before = {row.config["seed"]: row for row in by_rung.get((baseline, epochs), ())}
                pairs = [(row, before[row.config["seed"]]) for row in runs if row.config["seed"] in before]
                if rung not in BASELINES[: BASELINES.index(baseline) + 1] and len(pairs) > 1:
                    told = [
                        _interval([after.at_end[name] - ours.at_end[name] for after, ours in pairs])
                        for name in ("all", "few")
                    ]
                    on_test = [after.on_test - ours.on_test for after, ours in pairs if after.test and ours.test]
                    told.append(_interval(on_test) if len(on_test) > 1 else "")
                    lines.append(f"| {setting} | {epochs} | {rung} - {baseline} | {len(pairs)} | {' | '.join(told)} |")
    return "\n".join(lines)


def _place(of: tuple[tuple[str, int], Any]) -> tuple[int, int, str]:
    (rung, epochs), _ = of
    return epochs, list(METHODS).index(rung.split()[0]), rung


def _interval(differences: Sequence[float]) -> str:
    by = paired_interval(differences)
    return f"{by.mean:+.1f} ({by.low:+.1f} to {by.high:+.1f})"


def _mean_sd(values: Sequence[float]) -> str:
    of = spread(values)
    return f"{of.mean:.1f} ± {of.sd:.1f}"


def _told(added: float, bound: float) -> str:
    return f"{added:+.1f} ({bound:+.1f}{'' if bound < LIMIT else ', not trained out'})"


def _by_rung(rows: Sequence[Row]) -> dict[tuple[str, int], list[Row]]:
    found: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        found[row.rung, row.config["epochs"]].append(row)
    return dict(sorted(found.items()))


def _added(rows: Sequence[Row]) -> dict[tuple[str, int], tuple[float, float]]:
    """(rung, epochs) -> points that twice the epochs add on D_val, paired by seed, and their upper 95 % bound.

    The standard deviation of the paired differences is pooled over the rungs of a setting and a length.
    """
    by_rung = _by_rung(rows)
    differences = {}
    for (rung, epochs), short in by_rung.items():
        ends = {row.config["seed"]: row.at_end["all"] for row in by_rung.get((rung, 2 * epochs), ())}
        paired = [ends[row.config["seed"]] - row.at_end["all"] for row in short if row.config["seed"] in ends]
        if len(paired) > 1:
            differences[rung, epochs] = paired
    found: dict[tuple[str, int], tuple[float, float]] = {}
    for length in {epochs for _, epochs in differences}:
        of_length = {key: paired for key, paired in differences.items() if key[1] == length}
        intervals = pooled_intervals(list(of_length.values()))
        found |= {key: (one.mean, one.high) for key, one in zip(of_length, intervals, strict=True)}
    return found


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
    teacher = TeacherSpec(form=args.teacher_form, tau=args.teacher_tau, views=args.teacher_views)
    named = f"{teacher.form}/{teacher.views}" + (f"/tau={teacher.tau:g}" if teacher.tau != 1 else "")
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
