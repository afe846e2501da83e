"""What the fit of a large probe gives up: an image as one row, against every view as a row.

    python -m benchmarks.probe_fit --classes 200 --features 256 --largest 60
    python -m benchmarks.probe_fit --data cifar100_lt:n_max=100,ir=20 --data-root DIR

The features of --data are the default teacher's. Without it they are simulated: normal about class centres, with the
spectrum of a backbone's. Deviations fall with the square root of their rank, and a view adds noise of its own. Training
counts fall from --largest to 5, as in ImageNet-LT.

Five fits are judged on a balanced D_val, and each chooses its strength there, from the same list:

reference     every view is a row, and every strength is fitted to the end
views         every view is a row, as a study fits small sets
one_view      one view of each image is a row
means_to_end  an image is one row, and every strength is fitted to the end
means         an image is one row, as a study fits large sets (`teacher/fit/softmax_regression.py`)

ImageNet-LT is --classes 1000 --features 1280 --largest 1280. The fits of every view need hours there; --only means
leaves them out.

Expected for the first line above, two cores of an Intel Xeon, 2026-11-30:

reference     loss 0.693, balanced accuracy 81.2 %, 428 iterations
views         loss 0.714, balanced accuracy 80.7 %, 103 iterations
one_view      loss 1.118, balanced accuracy 71.8 %, 119 iterations over an eighth of the rows
means_to_end  loss 0.577, balanced accuracy 84.5 %, 412 iterations over an eighth of the rows
means         loss 0.387, balanced accuracy 91.1 %, 40 iterations over an eighth of the rows

Simulated views are normal, as the fit of means assumes, and stand for more views than the eight. Real views are not.
Simulated classes differ in their centres alone, which a fit that ends early finds first. Real classes differ in more.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from benchmarks.targets import features_of
from study.teacher.bundle import VIEW_SEED
from trainables.cckd.bundle.assemble import training_views
from trainables.cckd.data.load import load_data
from trainables.cckd.data.spec import parse_data
from trainables.cckd.long_tail import class_counts
from trainables.cckd.teacher.fit import probe
from trainables.cckd.teacher.fit.probe import fit_probe
from trainables.cckd.teacher.spec import TeacherSpec, check_teacher


def _one_row(n_images: int, n_views: int, n_features: int, n_classes: int) -> int:
    return 1


def _every_view(n_images: int, n_views: int, n_features: int, n_classes: int) -> int:
    return n_views


_VIEWS: dict[str, Any] = {"rows_per_image": _every_view, "STRENGTHS": probe.STRENGTHS_OF_MEANS}

#: Name of a fit -> the values of `probe` that make it.
FITS: dict[str, dict[str, Any]] = {
    "reference": _VIEWS | {"_SEARCH_TOLERANCE": 1e-8, "_FINAL_TOLERANCE": 1e-9},
    "views": _VIEWS,
    "one_view": _VIEWS,
    "means_to_end": {"rows_per_image": _one_row, "_TOLERANCE_OF_MEANS": 1e-8},
    "means": {"rows_per_image": _one_row},
}

_SMALLEST_CLASS = 5
#: Share of an image's variance that differs from view to view.
_VIEW_SHARE = 0.25


def main(argv: Sequence[str] | None = None) -> int:
    """Fit the probes, print one line each; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", help="a data set whose features the teacher makes (default: simulated features)")
    parser.add_argument("--data-root", default="data", type=Path, help="where data sets lie (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of --data (default: one a core)")
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--largest", type=int, default=60, help="training images of the largest class")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--apart", type=float, default=0.4, help="distance of the class centres, in deviations")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of the products (default: cpu)")
    parser.add_argument("--only", choices=tuple(FITS), action="append", help="fits to run (default: all)")
    args = parser.parse_args(argv)
    if args.data is None:
        world = simulate(args.classes, args.features, args.largest, args.views, apart=args.apart)
    else:
        world = of_teacher(args.data, args.data_root, args.views, args.workers)
    n_images, n_views, n_features = world[0].shape
    n_classes = int(world[1].max()) + 1
    print(f"{n_images} images in {n_views} views of {n_features} features, {n_classes} classes")
    for name in args.only or FITS:
        train = world[0][:, :1] if name == "one_view" else world[0]
        with patch.multiple(probe, **FITS[name]):
            started = perf_counter()
            found = fit_probe(train, *world[1:], n_classes=n_classes, device=args.device)
            seconds = perf_counter() - started
        loss, right = judge(found.logits(world[2]), world[3])
        print(
            f"{name:<12} {seconds:7.1f} s  strength {found.strength:<8g} D_val loss {loss:.4f}, "
            f"balanced accuracy {100 * right:.2f} %, "
            f"{sum(row.iterations for row in found.path)} iterations for {len(found.path)} strengths",
            flush=True,
        )
    return 0


World = tuple[NDArray[np.float16], NDArray[np.int64], NDArray[np.float16], NDArray[np.int64]]


def of_teacher(data: str, data_root: Path, n_views: int, workers: int) -> World:
    """Return what `simulate` returns, of a data set and the default teacher."""
    loaded = load_data(parse_data(data), data_root=data_root.absolute())
    spec = TeacherSpec(views=n_views)
    size = spec.input_size(check_teacher(spec), *loaded.image_shape[1:])
    views = training_views(loaded, n_views, seed=VIEW_SEED)
    train, val = features_of(spec, loaded, views, size, workers)
    return train, loaded.train.labels, val, loaded.val.labels


def simulate(n_classes: int, n_features: int, largest: int, n_views: int, *, apart: float) -> World:
    """Return training features (N, V, D), their labels (N,), and the features (M, D) and labels (M,) of D_val."""
    rng = np.random.default_rng(0)
    deviations = (1 + np.arange(n_features, dtype=np.float32)) ** -0.5
    turned = rng.standard_normal((n_features, n_features), np.float32) / np.float32(n_features**0.5)
    centres = apart * deviations * rng.standard_normal((n_classes, n_features), np.float32)

    def draw(labels: NDArray[np.int64], views: int) -> NDArray[np.float16]:
        found = np.empty((len(labels), views, n_features), np.float16)
        for start in range(0, len(labels), 1000):
            of_block = labels[start : start + 1000]
            image = (1 - _VIEW_SHARE) ** 0.5 * rng.standard_normal((len(of_block), 1, n_features), np.float32)
            view = _VIEW_SHARE**0.5 * rng.standard_normal((len(of_block), views, n_features), np.float32)
            found[start : start + 1000] = 1 + (centres[of_block][:, None] + deviations * (image + view)) @ turned
        return found

    labels = np.repeat(np.arange(n_classes), class_counts(largest, n_classes, largest / _SMALLEST_CLASS))
    val_labels = np.repeat(np.arange(n_classes), 20)
    return draw(labels, n_views), labels, draw(val_labels, 1)[:, 0], val_labels


def judge(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy of logits (M, C) on a balanced set with labels (M,)."""
    own = log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]
    return float(-own.mean()), float((logits.argmax(axis=1) == labels).mean())


if __name__ == "__main__":
    raise SystemExit(main())
