"""What does a search cost beside its students' own compute?

    python -m benchmarks.occupancy --data fashion_mnist_lt

A search of acckd_core runs as a command of its own, with the teacher's outputs in the cache. Its bound is what its
students would take with nothing around them: every training step of every trial at the price of a bare one, which makes
the same passes over as many samples, every evaluated image at that of a bare forward, divided by the workers. A step of
few small images costs more a sample than one of many: the price of a step that mixes is a line through the steps of two
sizes, and one that does not mix has a price of its own. Prices are taken before and after the search, in as many
processes at once as there are workers, since cores that share caches slow each other.
Goals (`benchmarks.goals`) have the wall from the first step to the empty queue over the bound, which may be larger on
digits_lt, whose trials take seconds, the share of the slots that is busy until the last trial is handed out, and the
teacher's passes, of which a second study must need none.
"""

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, replace
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median
from typing import Any, Self

import torch

from benchmarks.bare import Setting, bare_epoch
from benchmarks.goals import Row, table
from benchmarks.shapes import SHAPES, STUDIED, step_of
from benchmarks.timing import Ratio
from search_spaces.acckd import ACCKD_CORE
from tests.support.commands import SEARCH_ONLY, Command, passing_data_root
from tests.support.watched_study import WatchedStudy
from trainables.cckd.batches.streamed_images import EVAL_BATCH
from trainables.cckd.config import mixed_per_step
from trainables.cckd.data.spec import parse_data
from trainables.cckd.precision import Precision, StepShape
from trainables.cckd.students.build import build_student
from trainables.cckd.training.learner import autocast

#: What is searched.
_SPACE = ACCKD_CORE
#: Trials of a search: half of a default study of that space. What a trial costs does not depend on their number.
TRIALS = _SPACE.default_trials // 2


@dataclass(frozen=True)
class Prices:
    """Seconds of the bare student.

    Attributes:
        step, sample: of a training step on D and D_mix beside its samples, and of each sample.
        plain: of a training step on D alone.
        forward: of a forward pass of one image.
    """

    step: float
    sample: float
    plain: float
    forward: float

    @classmethod
    def through(cls, fewer: tuple[int, float], more: tuple[int, float], *, plain: float, forward: float) -> Self:
        """The line through two steps, each its samples and its seconds; through nothing where noise has it below."""
        sample = (more[1] - fewer[1]) / (more[0] - fewer[0])
        step = fewer[1] - fewer[0] * sample
        if step < 0:
            step, sample = 0.0, more[1] / more[0]
        return cls(step, sample, plain, forward)

    def of_step(self, n_plain: int, n_mixed: int) -> float:
        """Seconds of a training step."""
        return self.step + self.sample * (n_plain + n_mixed) if n_mixed else self.plain


@dataclass(frozen=True)
class Occupancy:
    """One search.

    Attributes:
        wall_s: from the first training step to the end of the last trial.
        bound_s: what its students' bare compute would take on as many workers.
        inside_s: seconds the trials themselves counted for training and evaluating, divided by the workers.
        busy: share of the slots' time in which a trial trained or evaluated, until the last was handed out.
        passes: images the teacher has seen, over those of training x views, val and test.
        workers: trials at once.
        cache_bytes: of the teacher's outputs on disk, a view.
        bounds_s: what `bound_s` is at the prices of before the search and of after, ascending.
    """

    wall_s: float
    bound_s: float
    inside_s: float
    busy: float
    passes: float
    workers: int
    cache_bytes: float = 0.0
    bounds_s: tuple[float, ...] = ()

    @property
    def ratio(self) -> Ratio:
        """Wall over bound, and what it would be at either price: how far a noisy machine can be trusted."""
        bounds = self.bounds_s or (self.bound_s,)
        return Ratio(self.wall_s / self.bound_s, self.wall_s / bounds[-1], self.wall_s / bounds[0])


def measure(data: str, data_root: Path, *, trials: int, epochs: int) -> Occupancy:
    """Run the search and hold it against its bound.

    Args:
        data: the data set.
        data_root: where its files lie, with no teacher's outputs beside them yet; they are left there.
        trials, epochs: of the search.

    Raises:
        RuntimeError: the search failed; the message holds what it printed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = (
            "--data",
            data,
            "--data-root",
            str(data_root),
            "--out",
            name,
            "--space",
            _SPACE.name,
            *SEARCH_ONLY,
        )
        first, study = WatchedStudy(folder / "first"), WatchedStudy(folder / "search")
        _search(first, *asked, "--trials", "1", "--epochs", "4")
        workers, precision = first.manifest["workers"], first.manifest["plan"]["precision"]
        before = _prices(data, workers, precision, batch_size_of(first))
        _search(study, *asked, "--trials", str(trials), "--epochs", str(epochs))
        after = _prices(data, workers, precision, batch_size_of(study))
        passes = sum(each.manifest["teacher"]["forward_passes"] for each in (first, study))
        files = (data_root / "teacher-cache").rglob("features.safetensors")
        cache_bytes = sum(file.stat().st_size for file in files) / passes
        earlier, later = (judge(study, prices, workers, passes) for prices in (before, after))
        bounds = sorted([earlier.bound_s, later.bound_s])
        return replace(later, bound_s=mean(bounds), cache_bytes=cache_bytes, bounds_s=tuple(bounds))


def rows(data: str, found: Occupancy) -> list[Row]:
    """Against their goals: wall, busy slots, teacher passes."""
    return [
        Row(f"{data}: search wall / bare compute", found.ratio),
        Row(f"{data}: slots busy until the last trial is handed out", Ratio.single(found.busy)),
        Row(f"{data}: teacher passes / (training x views + val), two studies", Ratio.single(found.passes)),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.occupancy", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", choices=STUDIED, default="fashion_mnist_lt", help="default: %(default)s")
    parser.add_argument("--data-root", default="data", type=Path, help="default: %(default)s")
    parser.add_argument(
        "--trials", type=int, default=TRIALS, help="half of a default study of this space (default: %(default)s)"
    )
    parser.add_argument("--epochs", type=int, help="of a trial (default: those of the data set's recipe)")
    args = parser.parse_args(argv)
    with passing_data_root(args.data_root.absolute()) as root:
        found = measure(args.data, root, trials=args.trials, epochs=args.epochs or recipe_epochs(args.data))
    print(table(rows(args.data, found)))
    print(
        f"{found.workers} at once: wall {found.wall_s:.1f} s, in trials {found.inside_s:.1f} s, "
        f"bare compute {found.bound_s:.1f} s ({' and '.join(f'{bound:.1f}' for bound in found.bounds_s)} at the prices "
        "of before and after)"
    )
    return 0


def recipe_epochs(data: str) -> int:
    """Return the epochs of a trial of a study of this data set, by its default recipe."""
    return parse_data(data).info.recipe().epochs


def batch_size_of(study: WatchedStudy) -> int:
    """Return the plain samples of a step of a study's trials."""
    size: int = study.manifest["plan"]["recipe_settings"]["batch_size"]
    return size


def _search(study: WatchedStudy, *flags: str) -> None:
    ended = Command("study.run", *flags, "--name", study.path.name).end(timeout_s=7200)
    if ended.code:
        raise RuntimeError(f"the search ended with {ended.code}:\n{ended.out}{ended.err}")


def judge(study: WatchedStudy, prices: Prices, workers: int, passes: int) -> Occupancy:
    """Hold a finished search against what its samples cost bare."""
    manifest, epochs, spans = study.manifest, study.epochs(), study.spans()
    began, ended = min(span.began for span in spans), max(span.ended for span in spans)
    last_out = max(span.asked for span in spans)
    data = manifest["data"]
    batch_size = batch_size_of(study)
    steps, n_val = sum(data["n_train"]) // batch_size, sum(data["n_val"])
    with (study.path / "trials.csv").open(newline="") as file:
        ratios = {int(row["number"]): float(row["config/mix_ratio"]) for row in csv.DictReader(file)}
    trained = sum(
        steps * prices.of_step(batch_size, _mixed(record) * mixed_per_step(batch_size, ratios[number]))
        for number, _, record in epochs
    )
    evaluated = sum(n_val for _, _, record in epochs if record["val"] is not None)
    inside = sum(record["train_s"] + record["eval_s"] for _, _, record in epochs)
    busy = sum(max(0.0, min(span.ended, last_out) - span.began) for span in spans)
    must = sum(data["n_train"]) * manifest["teacher"]["views"] + n_val
    return Occupancy(
        wall_s=ended - began,
        bound_s=(trained + evaluated * prices.forward) / workers,
        inside_s=inside / workers,
        busy=busy / (workers * (last_out - began)),
        passes=passes / must,
        workers=workers,
    )


def _mixed(record: dict[str, Any]) -> bool:
    """Return whether an epoch had a D_mix."""
    return "sup_mix" in record["losses"]


def _prices(data: str, workers: int, precision: Precision, batch_size: int) -> Prices:
    """What `workers` processes that compute at once in a number format find: the median of them."""
    price = partial(_price, data, precision, batch_size)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        found = [each.result() for each in [pool.submit(price) for _ in range(workers)]]
    return Prices(*(median(values) for values in zip(*map(astuple, found), strict=True)))


def _price(data: str, precision: Precision, batch_size: int, seconds: float = 8.0) -> Prices:
    torch.set_num_threads(1)
    shape = SHAPES[data]

    def priced(step: StepShape) -> tuple[int, float]:
        return step.n_samples, _median_s(bare_epoch(step, 1, Setting(precision=precision)), seconds / 2)

    # A quarter as many mixed as plain samples, and three times as many.
    fewer, more = (priced(step_of(shape, "acckd", batch_size=batch_size, mix_ratio=ratio)) for ratio in (0.2, 0.75))
    _, plain = priced(step_of(shape, "la", batch_size=batch_size))
    student = build_student(shape.student, shape.n_classes, shape.n_channels, shape.size)
    student = student.to(memory_format=torch.channels_last).eval()
    images = torch.randn(EVAL_BATCH, shape.n_channels, shape.size, shape.size)
    images = images.contiguous(memory_format=torch.channels_last)

    def forward() -> None:
        with torch.inference_mode(), autocast(torch.device("cpu"), precision):
            student(images)

    return Prices.through(fewer, more, plain=plain, forward=_median_s(forward, seconds / 2) / EVAL_BATCH)


def _median_s(step: Callable[[], None], seconds: float) -> float:
    """Median seconds of a call, over so many seconds, the first fifth of the calls left out."""
    marks, end = [time.perf_counter()], time.perf_counter() + seconds
    while marks[-1] < end:
        step()
        marks.append(time.perf_counter())
    taken = [after - before for before, after in pairwise(marks)]
    return median(taken[len(taken) // 5 :])


if __name__ == "__main__":
    sys.exit(main())
