"""Does a large set get from its teacher's features to its first trial in time, killed on the way, and is the fit right?

    python -m benchmarks.large_fit --imagenet-lt                 (15 minutes and more on two idle cores, 4 GB of disk)
    python -m benchmarks.large_fit --imagenet-lt --scale 0.1
    python -m benchmarks.large_fit --inat2018 --scale 0.1
    python -m benchmarks.large_fit --small                       (the third part alone, on a set of minutes)

Features of the set's size are simulated (`simulated_features`) and written to a teacher's cache. Then:

1. `--dry-run` names the time of the fit.
2. A study starts. Its driver is killed when the first step of the fit is kept, and again at the third. The study is
   resumed each time. The clock runs from the first command to the first training step, kills included. Memory is what
   all processes hold that the system cannot drop: private and shared pages, not those of the features' file.
3. The study's fit stands against the same regression with all its strengths fitted to the end. It has a tenth of the
   rows of ImageNet-LT, or a small set. With --every-view a regression with a row per view is fitted too. D_val judges
   the fits.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.goals import Row, table
from benchmarks.probe_fit import judge
from benchmarks.record import RESULTS, write_results
from benchmarks.simulated_features import SETS, SimulatedSet, World
from benchmarks.timing import Ratio
from tests.support.commands import ROOT, SEARCH_ONLY, Command
from tests.support.watched_study import WatchedStudy
from trainables.cckd.teacher.fit import probe
from trainables.cckd.teacher.fit.probe import fit_probe

_STUDY = "benchmarks.simulated_study"
#: The study ends with its first step. A trial that could end by itself might do so between two looks at it.
_ONE_TRIAL = ("--space", "acckd_core", "--trials", "1", "--epochs", "500", "--sampler", "random", *SEARCH_ONLY)
#: A driver is killed when so many steps of its fit are kept, and a moment later, so that it is inside the next one.
KILL_AT, _MOMENT_S = (1, 3), 3.0
_LOOK_EVERY_S = 0.5
_LIMIT_S = 24 * 3600.0
#: Part of the rows on which a fit is fitted to the end.
_CONVERGED_SCALE = 0.1
_MOST_ITERATIONS = "trainables.cckd.teacher.fit.softmax_regression._MAX_ITERATIONS"
#: What fits every strength to the end.
_TO_THE_END: dict[str, Any] = {
    "_SEARCH_TOLERANCE": 1e-8,
    "_FINAL_TOLERANCE": 1e-8,
    "_TOLERANCE_OF_MEANS": 1e-8,
}


class NoFirstStepError(Exception):
    """The study ended before its first training step; the message holds what it printed."""


@dataclass(frozen=True)
class Way:
    """The way from features to the first training step.

    Attributes:
        seconds: from the first command to the first step, kills and resuming included.
        fit_s: from the first command to the end of the fit.
        n_kills: drivers killed.
        peak_gb: the most memory that all processes held together.
        peak_with_file_gb: the same with the mapped pages of the features' file.
        val_balanced_accuracy: of the teacher, from study.json.
    """

    seconds: float
    fit_s: float
    n_kills: int
    peak_gb: float
    peak_with_file_gb: float
    val_balanced_accuracy: float


@dataclass(frozen=True)
class Judged:
    """One fit on D_val: its strength times C, mean cross-entropy, balanced accuracy in %, seconds and iterations."""

    strength: float
    loss: float
    balanced_accuracy: float
    seconds: float
    iterations: int


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the JSON; return 0 if all goals that are judged are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--imagenet-lt", action="store_const", const="imagenet_lt", dest="of", help="its size")
    which.add_argument("--inat2018", action="store_const", const="inat2018", dest="of", help="its size")
    which.add_argument("--small", action="store_const", const="small", dest="of", help="200 classes, 3,000 images")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the training images (default: %(default)s)")
    parser.add_argument("--every-view", action="store_true", help="also fit a row per view to the end, for an hour")
    parser.add_argument("--only", choices=("way", "agreement"), help="one of the two measurements (default: both)")
    args = parser.parse_args(argv)
    load_before = os.getloadavg()[0]
    rows: list[Row] = []
    raw: dict[str, Any] = {"asked": vars(args), "size": asdict(SETS[args.of].at(args.scale))}
    if args.only != "agreement" and args.of != "small":
        with tempfile.TemporaryDirectory() as folder:
            named_s, way = measure_way(Path(folder), args.of, args.scale)
        print(
            f"first step after {way.seconds:.0f} s, the fit ended after {way.fit_s:.0f} s; {way.peak_gb:.1f} GB held, "
            f"{way.peak_with_file_gb:.1f} GB with mapped files; balanced accuracy {way.val_balanced_accuracy:.1%}"
        )
        rows += way_rows(args.of, args.scale, named_s, way)
        raw |= {"named_s": named_s, "way": asdict(way)}
    if args.of != "inat2018" and args.only != "way":
        scale = args.scale if args.of == "small" else min(_CONVERGED_SCALE, args.scale)
        fits = agreement(SETS[args.of].at(scale), every_view=args.every_view)
        rows += agreement_rows(f"{args.of} x {scale:g}", fits)
        raw["agreement"] = {name: asdict(judged) for name, judged in fits.items()}
    print(table(rows))
    what = "-".join(filter(None, ("large-fit", args.of, f"{args.scale:g}", args.only)))
    path = write_results(RESULTS, rows, raw, load_before=load_before, what=what)
    print(f"raw numbers: {path}")
    return int(any(row.verdict == "not met" for row in rows))


def measure_way(folder: Path, of: str, scale: float) -> tuple[float | None, Way]:
    """Write the features, ask for the time, and run the study with its kills.

    Returns:
        The seconds that --dry-run names for the fit, None where it names none, and what was measured.

    Raises:
        NoFirstStepError: the study came to nothing.
    """
    asked = ("--data", f"simulated:set={of},scale={scale:g}", "--data-root", str(folder / "data"))
    print("writing features ...", flush=True)
    subprocess.run([sys.executable, "-m", _STUDY, "write", *asked], cwd=ROOT, check=True, capture_output=True)
    dry = subprocess.run(
        [sys.executable, "-m", _STUDY, "run", *asked, *_ONE_TRIAL, "--dry-run"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    named_s = named_seconds(dry)
    print(f"--dry-run names {named_s} s for the fit; the study ...", flush=True)
    return named_s, _way(folder, asked)


def named_seconds(dry_run: str) -> float | None:
    """Return the seconds of the teacher's fit that --dry-run names; None where it names none."""
    found = re.search(r"about (?:(\d+) h )?(\d+) (s|min) of the teacher's fit", " ".join(dry_run.split()))
    if found is None:
        return None
    hours, number, unit = found.groups()
    return 3600.0 * int(hours or 0) + int(number) * (60.0 if unit == "min" else 1.0)


def _way(folder: Path, asked: Sequence[str]) -> Way:
    study = WatchedStudy(folder / "runs" / "large")
    began = time.time()
    command = Command(
        _STUDY, "run", *asked, *_ONE_TRIAL, "--yes-long", "--out", str(folder / "runs"), "--name", "large"
    )
    n_kills, peak, peak_with_file, fit_ended = 0, 0, 0, 0.0
    kept_since: float | None = None
    while command.running and time.time() - began < _LIMIT_S:
        held, mapped = _memory([command.pid, *command.others()])
        peak, peak_with_file = max(peak, held), max(peak_with_file, held + mapped)
        if not fit_ended and list((folder / "data").glob("teacher-cache/*/fits/*.safetensors")):
            fit_ended = time.time()
        first = study.first_step()
        if first is not None:
            accuracy = study.manifest["teacher"]["val_balanced_accuracy"]
            command.kill()
            gigabytes = peak / 1e9, peak_with_file / 1e9
            return Way(first - began, fit_ended - began, n_kills, *gigabytes, accuracy)
        n_kept = len(list((folder / "data").glob("teacher-cache/*/fits/*.steps/*.safetensors")))
        if n_kills < len(KILL_AT) and n_kept >= KILL_AT[n_kills]:
            kept_since = kept_since or time.time()
            if time.time() - kept_since >= _MOMENT_S:
                command.kill()
                n_kills, kept_since = n_kills + 1, None
                print(f"killed with {n_kept} steps kept, {time.time() - began:.0f} s from the start", flush=True)
                command = Command(_STUDY, "resume", str(study.path))
        time.sleep(_LOOK_EVERY_S)
    ended = command.end()
    raise NoFirstStepError(f"the study ended with {ended.code}:\n{ended.out}{ended.err}")


def _memory(pids: Sequence[int]) -> tuple[int, int]:
    """Bytes that the processes hold together and cannot be dropped, and those mapped from files."""
    held = mapped = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        sizes = {name: int(line.split()[1]) * 1024 for line in lines[1:] for name in [line.split(":")[0]]}
        held += sizes["Pss_Anon"] + sizes["Pss_Shmem"]
        mapped += sizes["Pss_File"]
    return held, mapped


def way_rows(of: str, scale: float, named_s: float | None, way: Way) -> list[Row]:
    """The way against its goals; the whole way has one at the size of ImageNet-LT only."""
    what = f"{of} x {scale:g}"
    found = [
        Row(f"{what}: features to first trial, two kills, min", _one(way.seconds / 60)),
        Row(f"{what}: drivers killed in the fit", _one(way.n_kills)),
        Row(f"{what}: memory of all processes, GB", _one(way.peak_gb)),
    ]
    if named_s:
        found.append(Row(f"{what}: the fit, from the command on and with kills / --dry-run", _one(way.fit_s / named_s)))
    return found


def agreement(size: SimulatedSet, *, every_view: bool) -> dict[str, Judged]:
    """Fit as a study does, and to the end, on the same features; return the judgements on D_val."""
    world = World(size)
    train, labels = world.draw(size.labels, size.n_views, seed=1), size.labels
    val, val_labels = world.draw(size.val_labels, 1, seed=2)[:, 0], size.val_labels
    one_row = {"rows_per_image": lambda *of: 1}
    ways: dict[str, dict[str, Any]] = {"as a study": one_row, "to the end": _TO_THE_END | one_row}
    if every_view:
        views = {"rows_per_image": lambda *of: size.n_views, "STRENGTHS": probe.STRENGTHS_OF_MEANS}
        ways["every view, to the end"] = _TO_THE_END | views
    found = {}
    for name, changed in ways.items():
        with ExitStack() as stack:
            stack.enter_context(patch.multiple(probe, **changed))
            if name != "as a study":
                stack.enter_context(patch(_MOST_ITERATIONS, 5000))
            began = time.perf_counter()
            fit = fit_probe(train, labels, val, val_labels, n_classes=size.n_classes)
            seconds = time.perf_counter() - began
        loss, right = judge(fit.logits(val), val_labels)
        iterations = sum(row.iterations for row in fit.path)
        found[name] = Judged(fit.strength * size.n_classes, loss, 100 * right, seconds, iterations)
        print(f"{name}: {found[name]}", flush=True)
    return found


def agreement_rows(of: str, fits: dict[str, Judged]) -> list[Row]:
    """How far the study's fit is from each of the others: the loss as a ratio, accuracies as points lost."""
    ours, rows = fits["as a study"], []
    for name, other in fits.items():
        if other is ours:
            continue
        lost = other.balanced_accuracy - ours.balanced_accuracy
        rows += [
            Row(f"{of}: D_val loss / {name}", _one(ours.loss / other.loss)),
            Row(f"{of}: balanced accuracy lost against {name}, points", _one(lost)),
        ]
    return rows


def _one(value: float) -> Ratio:
    return Ratio.single(float(value))


if __name__ == "__main__":
    raise SystemExit(main())
