"""Do a probe's out-of-fold targets teach better than its in-fold ones?

    python -m benchmarks.targets

A probe that was fitted to an image knows its label, so in fold its targets are hard: on the default fashion_mnist_lt
they name the right class of 95 % of the training views, where the same probe reaches 77 % on D_val. Out of fold each
image is judged by a fit on the others (84 %). Both teachers stand on the same features, probe strength and prior; the
rungs cckd and acckd are trained at their reference point on the same seeds, and the paired differences of test balanced
accuracy get a t interval.

Expected on the default set, two cores of an AMD EPYC, 8 minutes of processor time: neither is shown to be better. Out
of fold minus in fold: cckd -1.0 points (95 % interval -2.6 to +0.7), acckd +1.2 (-0.7 to +3.0). Every run is kept in
benchmarks/results/targets-<data>-<hardware>-<date>.json.
"""

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks.seeds import Contest, Way, run_comparison
from study.teacher.bundle import VIEW_SEED
from trainables.cckd.bundle.assemble import assemble, images_of, judge_teacher, training_views
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.data.images.decoded_images import Images
from trainables.cckd.data.load import LongTailData
from trainables.cckd.metrics import balanced_accuracy
from trainables.cckd.teacher.backbone import build_backbone
from trainables.cckd.teacher.features import extract
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher, fit_teacher
from trainables.cckd.teacher.spec import TARGETS, TeacherSpec, check_teacher

RUNGS = ("cckd", "acckd")

_SPEC = TeacherSpec()


def main(argv: Sequence[str] | None = None) -> int:
    """Train every rung with either targets on every seed, print the table, write the JSON; return the exit code."""
    run_comparison(argv, "targets", __doc__, RUNGS, _contest)
    return 0


def _contest(data: LongTailData, workers: int) -> Contest:
    bundles, teachers = prepare(data, workers)
    right = ", ".join(f"{name} {100 * teacher['target_accuracy']:.1f} %" for name, teacher in teachers.items())
    return Contest(
        {targets: Way(bundle) for targets, bundle in bundles.items()},
        f"Targets that name the right class: {right}.\n\n",
        {"teachers": teachers},
    )


def prepare(
    data: LongTailData, workers: int, *, spec: TeacherSpec = _SPEC, targets: Sequence[str] = TARGETS
) -> tuple[dict[str, TrialData], dict[str, dict[str, Any]]]:
    """Targets -> the bundle that holds them, and how the teacher did; the teacher sees every view once."""
    file = check_teacher(spec)
    size = spec.input_size(file, *data.image_shape[1:])
    views = training_views(data, spec.views, seed=VIEW_SEED)
    train, val = features_of(spec, data, views, size, workers)
    bundles, teachers = {}, {}
    for name in targets:
        fitted = _fit(replace(spec, targets=name), data, train, val)
        state = fitted.readout.state(name=spec.name, size=size, weights=spec.weights, sha256=file.sha256)
        bundles[name] = assemble(data, views, train, fitted, state)
        on_val, _ = judge_teacher(fitted.readout, val, data.val.labels, n_classes=len(data.class_names))
        teachers[name] = {
            "target_accuracy": fitted.target_accuracy,
            "val_balanced_accuracy": balanced_accuracy(on_val),
            "prior_distance": fitted.prior_distance,
        }
    return bundles, teachers


def features_of(
    spec: TeacherSpec, data: LongTailData, views: np.ndarray, size: int, workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the teacher's features, float16, of the views of the training set (N, V, D) and of D_val (M, D)."""
    return (
        _features(spec, images_of(data.train), views, size, workers),
        _features(spec, images_of(data.val), None, size, workers),
    )


def _fit(spec: TeacherSpec, data: LongTailData, train: np.ndarray, val: np.ndarray) -> FittedTeacher:
    n_classes = len(data.class_names)
    return fit_teacher(spec, train, data.train.labels, val, data.val.labels, n_classes=n_classes)


def _features(spec: TeacherSpec, images: Images, views: np.ndarray | None, size: int, workers: int) -> np.ndarray:
    pieces = [piece for piece in np.array_split(np.arange(len(images)), 4 * workers) if len(piece)]
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, torch.set_num_threads, (1,)) as pool:
        arguments = [
            (
                images[rows] if isinstance(images, np.ndarray) else images.take(rows),
                views if views is None else views[rows],
            )
            for rows in pieces
        ]
        return np.concatenate(pool.starmap(_Extract(spec, size), arguments, chunksize=1))


@dataclass(frozen=True)
class _Extract:
    spec: TeacherSpec
    size: int

    def __call__(self, images: Images, views: np.ndarray | None) -> np.ndarray:
        return extract(build_backbone(check_teacher(self.spec), size=self.size), images, views)


if __name__ == "__main__":
    raise SystemExit(main())
