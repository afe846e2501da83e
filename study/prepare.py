"""What is paid for once a study: the teacher's pass over every view, its probe, and the bundle all trials read.

The pass runs as Ray tasks, part by part; the driver writes each part to the feature cache, so a killed pass
continues and a later study of the same data and teacher starts at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from study.preflight import Checked
from study.progress import Progress, duration
from study.tuner import Workers
from trainables.cckd.assemble import assemble, teacher_counts
from trainables.cckd.bundle import TrialData
from trainables.cckd.data import ImageSet, draw_views
from trainables.cckd.metrics import balanced_accuracy, recalls
from trainables.cckd.records import ClassCounts
from trainables.cckd.teacher.cache import FeatureCache, FeatureKey, hash_array, library_versions
from trainables.cckd.teacher.probe import ProbeFit, fit_probe
from trainables.cckd.teacher.spec import TeacherFile

if TYPE_CHECKING:
    from trainables.cckd.teacher.backbone import Backbone

#: Views are drawn from a constant seed, so that studies which differ only in theirs share one teacher pass.
VIEW_SEED = 0


@dataclass(frozen=True)
class Prepared:
    """Everything trials share, and what the manifest says of the teacher.

    Attributes:
        data: the bundle for the object store.
        probe: the fitted teacher.
        teacher: the manifest's `teacher` entry.
    """

    data: TrialData
    probe: ProbeFit
    teacher: dict[str, Any]


def prepare(checked: Checked, workers: Workers, progress: Progress) -> Prepared:
    """Run or look up the teacher's pass over train and val, fit the probe, assemble the bundle. Needs Ray."""
    data, spec = checked.data, checked.teacher
    _, height, width = data.image_shape
    views = draw_views(
        len(data.train),
        spec.views,
        padding=data.padding,
        flip=data.flip,
        height=height,
        width=width,
        seed=VIEW_SEED,
    )
    train, train_passes = _features(checked, "train", data.train, views, workers, progress)
    val, val_passes = _features(checked, "val", data.val, None, workers, progress)
    progress.say("teacher  fitting the linear probe")
    n_classes = len(data.class_names)
    probe = fit_probe(train, data.train.labels, val, data.val.labels, n_classes=n_classes)
    bundle = assemble(data, views, train, val, probe, spec)
    on_val = teacher_counts(probe, val, data.val.labels, n_classes=n_classes)
    described = {
        "name": spec.name,
        "form": spec.form,
        "size": spec.input_size(height, width),
        "views": spec.views,
        "sha256": checked.teacher_file.sha256,
        "strength": probe.strength,
        "train_accuracy": probe.train_accuracy,
        "val_accuracy": probe.val_accuracy,
        "val_balanced_accuracy": balanced_accuracy(on_val),
        "val_recall": recalls(on_val).tolist(),
        "prior": np.exp(bundle.teacher_log_prior).tolist(),
        "forward_passes": train_passes + val_passes,
    }
    return Prepared(bundle, probe, described)


def teacher_on_test(
    checked: Checked, prepared: Prepared, workers: Workers, progress: Progress
) -> tuple[ClassCounts, int]:
    """The teacher's test result, and how many images it saw for it (0 from the cache). Needs Ray."""
    test = checked.data.test
    features, n_passes = _features(checked, "test", test, None, workers, progress)
    n_classes = len(checked.data.class_names)
    return teacher_counts(prepared.probe, features, test.labels, n_classes=n_classes), n_passes


def _features(
    checked: Checked,
    subset: str,
    images: ImageSet,
    views: NDArray[np.int16] | None,
    workers: Workers,
    progress: Progress,
) -> tuple[NDArray[np.float16], int]:
    """Cached features of one set, and the number of images the teacher saw now."""
    _, height, width = checked.data.image_shape
    n_views = 1 if views is None else views.shape[1]
    key = FeatureKey(
        teacher=checked.teacher.name,
        teacher_sha256=checked.teacher_file.sha256,
        size=checked.teacher.input_size(height, width),
        data_sha256=checked.data.sha256,
        subset=subset,
        views_sha256=None if views is None else hash_array(views),
        shape=(len(images), *(() if views is None else (n_views,)), checked.teacher_file.n_features),
        versions=library_versions(),
    )
    store = FeatureCache(Path(checked.plan.data_root) / "teacher-cache", key)
    if store.complete:
        return store.load(), 0
    missing = store.missing_parts()
    total = sum(end - start for start, end in store.ranges) * n_views
    done = total - sum(store.ranges[part][1] - store.ranges[part][0] for part in missing) * n_views
    before = done
    progress.begin("teacher", total)
    progress.update(done, f"{subset} images")
    for part, features in _extract_parts(checked, key.size, images, views, store.ranges, missing, workers):
        store.write_part(part, features)
        done += len(features) * n_views
        rate = (done - before) / max(progress.elapsed_s, 1e-3)
        progress.update(done, f"{subset} images, {duration((total - done) / rate)} left")
    progress.end()
    return store.finish(), total - before


def _extract_parts(
    checked: Checked,
    size: int,
    images: ImageSet,
    views: NDArray[np.int16] | None,
    ranges: tuple[tuple[int, int], ...],
    missing: tuple[int, ...],
    workers: Workers,
) -> Iterator[tuple[int, NDArray[np.float16]]]:
    """Yield (part number, features) as Ray finishes them, two parts a worker in flight."""
    import ray

    resources = {"num_gpus": checked.plan.gpus_per_trial} if workers.device == "cuda" else {"num_cpus": 1}
    task = ray.remote(**resources)(_extract_part)
    all_images, all_views = ray.put(images.images), ray.put(views)
    waiting = list(reversed(missing))
    running: dict[Any, int] = {}
    while waiting or running:
        while waiting and len(running) < 2 * workers.n_workers:
            part = waiting.pop()
            running[task.remote(checked.teacher_file, size, workers.device, all_images, all_views, ranges[part])] = part
        finished, _ = ray.wait(list(running))
        for reference in finished:
            yield running.pop(reference), ray.get(reference)


def _extract_part(
    file: TeacherFile,
    size: int,
    device: str,
    images: NDArray[np.uint8],
    views: NDArray[np.int16] | None,
    span: tuple[int, int],
) -> NDArray[np.float16]:
    """Runs in a Ray worker, which keeps its backbone from part to part."""
    from trainables.cckd.teacher.features import extract

    of_part = None if views is None else views[slice(*span)]
    return extract(_backbone(file, size, device), images[slice(*span)], of_part)


@cache
def _backbone(file: TeacherFile, size: int, device: str) -> "Backbone":
    from trainables.cckd.teacher.backbone import build_backbone

    return build_backbone(file, size=size, device=device)
