"""Does the trainer reach what was published for cross-entropy and logit adjustment on CIFAR-100-LT?

    python -m benchmarks.published_baselines --data-root DIR --minutes 90
    python -m benchmarks.published_baselines --table
    python -m benchmarks.published_baselines --data-root DIR --epochs 20 --device cuda

ResNet-32 on cifar100_lt:ir=100 by LDAM's recipe, one seed, split `paper`: nothing is selected, and the test accuracy
of the last epoch counts. Published: 38.5 for cross-entropy (38 to 39), 43.5 for logit adjustment (42 to 44).

A run takes an hour of one core with AMX in bfloat16, several hours otherwise. So it is cut into parts: a part ends
after --minutes and leaves a checkpoint in benchmarks/results/published_baselines/<rung>-<epochs>, from which the next
part continues bitwise. Every tenth epoch is evaluated on test and appended to
benchmarks/results/published_baselines.jsonl. Another length than the recipe's 200 epochs is no published one; its rows
go to published_baselines-<epochs>.jsonl.
"""

import argparse
import json
import multiprocessing
import shutil
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from benchmarks.record import RESULTS, hardware_name
from benchmarks.seeds import FIRST_SEED
from study.planning.manifest import git_commit, hardware
from trainables.cckd.bundle.assemble import assemble, images_of, training_views
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.sources.cifar import CIFAR100
from trainables.cckd.data.spec import parse_data
from trainables.cckd.precision import PRECISIONS
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher
from trainables.cckd.teacher.readout import Readout
from trainables.cckd.training.trainer import Trainer

DATA = "cifar100_lt:ir=100"

#: Rung -> test accuracy in per cent, as published.
PUBLISHED = {"ce": 38.5, "la": 43.5}

#: LDAM's, which is the data set's own.
RECIPE: dict[str, Any] = {**CIFAR100.recipe("field").training, "seed": FIRST_SEED}

EVALUATED_EVERY = 10
CHECKPOINTS = RESULTS / "published_baselines"


def main(argv: Sequence[str] | None = None) -> int:
    """Train the next part of every rung that is not done, side by side, then print the table; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.published_baselines", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--data-root", default="data", type=Path, help="default: %(default)s")
    parser.add_argument("--rungs", default=",".join(PUBLISHED), help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=RECIPE["epochs"], help="default: the recipe's %(default)s")
    parser.add_argument("--minutes", type=float, default=90.0, help="length of this part (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument("--precision", default="float32", choices=PRECISIONS, help="default: %(default)s")
    parser.add_argument("--table", action="store_true", help="print the table and train nothing")
    args = parser.parse_args(argv)
    if not args.table:
        data = load_data(parse_data(DATA), data_root=args.data_root.absolute(), split="paper")
        parts = [(rung, data, args) for rung in args.rungs.split(",")]
        with multiprocessing.get_context("spawn").Pool(len(parts)) as pool:
            pool.starmap(_train_part, parts, chunksize=1)
    print(table(read_rows(args.epochs)))
    return 0


def read_rows(epochs: int = RECIPE["epochs"]) -> list[dict[str, Any]]:
    """Return every recorded evaluation of runs of so long: rung, epoch, accuracy and correct answers per class."""
    path = _path(epochs)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _path(epochs: int) -> Path:
    return RESULTS / f"published_baselines{'' if epochs == RECIPE['epochs'] else f'-{epochs}'}.jsonl"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """As Markdown: test accuracy in per cent by epoch, beside what was published for the last one."""
    lines = ["| rung | epoch | test accuracy | published after 200 |", "|---|---|---|---|"]
    lines += [
        f"| {rung} | {row['epoch']} | {100 * row['accuracy']:.1f} | {published} |"
        for rung, published in PUBLISHED.items()
        for row in rows
        if row["rung"] == rung
    ]
    return "\n".join(lines)


def _train_part(rung: str, data: LongTailData, args: argparse.Namespace) -> None:
    started, checkpoint = monotonic(), CHECKPOINTS / f"{rung}-{args.epochs}"
    trainer = Trainer(
        TrialConfig.build({"method": rung, **RECIPE, "epochs": args.epochs}),
        without_teacher(data),
        device=args.device,
        precision=args.precision,
        threads=1,
    )
    if checkpoint.exists():
        trainer.restore(checkpoint)
    where = f"{hardware_name(hardware(args.device))} {args.precision} {git_commit()}"
    known = {row["epoch"] for row in read_rows(args.epochs) if row["rung"] == rung}
    while not trainer.done and monotonic() - started < 60 * args.minutes:
        record = trainer.run_epoch()
        if record.epoch % EVALUATED_EVERY == 0 and record.epoch not in known:
            counts = trainer.evaluate(images_of(data.test), data.test.labels)
            accuracy = sum(counts.correct) / sum(counts.seen)
            row = {"rung": rung, "epoch": record.epoch, "accuracy": accuracy, "correct": counts.correct}
            with _path(args.epochs).open("a") as file:
                file.write(json.dumps(row | {"where": where}, separators=(",", ":")) + "\n")
        trainer.save(checkpoint)
    if trainer.done:
        shutil.rmtree(checkpoint)


def without_teacher(data: LongTailData) -> TrialData:
    """Return the data of a trial whose rung reads nothing of a teacher; the teacher's outputs are zeros."""
    n_train, n_classes = len(data.train), len(data.class_names)
    flat, one = np.zeros(n_classes, np.float32), np.ones(1, np.float32)
    readout = Readout(weight=flat[:, None], bias=flat, feature_mean=0 * one, feature_std=one)
    fitted = FittedTeacher(
        readout=readout,
        log_prior=np.full(n_classes, -np.log(n_classes)),
        prior_distance=0.0,
        train_accuracy=0.0,
        target_accuracy=0.0,
    )
    state = readout.state(name="none", size=data.image_shape[1])
    return assemble(data, training_views(data, 1, seed=0), np.zeros((n_train, 1, 1), np.float16), fitted, state)


if __name__ == "__main__":
    raise SystemExit(main())
