"""The teacher's pass over one set of images: from the cache, or computed as Ray tasks, part by part.

The driver writes each part as it arrives, so a killed pass continues and a later study of the same data and
teacher starts at once. Features that come from the cache are still to be verified.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.preflight import Checked
from study.progress import Progress, duration
from study.tuner import Workers
from study.worker_tasks import extract
from trainables.cckd.bundle import Images
from trainables.cckd.teacher.cache import FeatureCache, FeatureKey, hash_array, library_versions
from trainables.cckd.teacher.claim import Claim

#: Folder of the cache under the data root.
CACHE = "teacher-cache"

#: Starts `extract` in a Ray worker on (images, rows, views) and returns a reference to its result.
Task = Callable[[Any, NDArray[np.int64], NDArray[np.int16] | None], Any]


@dataclass(frozen=True)
class TeacherPass:
    """Features of one set.

    Attributes:
        features: raw, float16 (N, V, D), or (N, D) without views.
        n_passed: images the teacher saw for them now, as its own counter has it; 0 from the cache.
        claim: keeps the cache's file where it is; to be held while `features` are read.
        store: the cache, complete.
        images, views: what they are features of; views are None where images are un-augmented.
    """

    features: NDArray[np.float16]
    n_passed: int
    claim: Claim
    store: FeatureCache
    images: Images
    views: NDArray[np.int16] | None


def teacher_pass(
    checked: Checked,
    subset: str,
    images: Images,
    views: NDArray[np.int16] | None,
    workers: Workers,
    progress: Progress,
) -> TeacherPass:
    """Look up or compute the features of `images` in `views` (un-augmented where None). Needs Ray."""
    import ray

    _, height, width = checked.data.image_shape
    n_views = 1 if views is None else views.shape[1]
    file = checked.teacher_file
    size = checked.teacher.input_size(file, height, width)
    key = FeatureKey(
        teacher=checked.teacher.name,
        teacher_sha256=file.sha256,
        size=size,
        data_sha256=checked.sha256_of(subset),
        subset=subset,
        views_sha256=None if views is None else hash_array(views),
        shape=(len(images), *(() if views is None else (n_views,)), file.n_features),
        versions=library_versions(),
    )
    store = FeatureCache(Path(checked.plan.data_root) / CACHE, key)
    begin = ray.remote(**_resources(checked, workers))(extract).remote
    task = partial(begin, file, size, workers.device, workers.decoders)
    wait = partial(progress.say, f"teacher  another study computes the same features of the {subset} images; waiting")
    claim, features, n_passed = store.claim(), None, 0
    claim.share(wait)
    while not store.complete:  # whoever finds it so builds it, alone; who waited for that finds it complete
        if claim.take(wait, unless=lambda: store.complete) and not store.complete:
            features, n_passed = _build(store, task, subset, images, views, workers, progress)
        claim.share(wait)
    if features is None:
        features = store.load()
    return TeacherPass(features, n_passed, claim, store, images, views)


def on_worker(checked: Checked, workers: Workers, function: Any, *arguments: Any) -> Any:
    """A reference to `function(*arguments)`, run where torch may be imported: in a Ray worker."""
    import ray

    return ray.remote(**_resources(checked, workers))(function).remote(*arguments)


def _build(
    store: FeatureCache,
    task: Task,
    subset: str,
    images: Images,
    views: NDArray[np.int16] | None,
    workers: Workers,
    progress: Progress,
) -> tuple[NDArray[np.float16], int]:
    """Compute the parts that are missing; return the features, and how many images passed for them."""
    n_views = 1 if views is None else views.shape[1]
    missing = store.missing_parts()
    total = sum(end - start for start, end in store.ranges) * n_views
    done = before = total - sum(store.ranges[part][1] - store.ranges[part][0] for part in missing) * n_views
    n_passed = 0
    progress.begin("teacher", total)
    progress.update(done, f"{subset} images")
    for part, (features, n_seen) in _parts(task, images, views, store.ranges, missing, workers):
        store.write_part(part, features)
        done += len(features) * n_views
        n_passed += n_seen
        rate = (done - before) / max(progress.elapsed_s, 1e-3)
        progress.update(done, f"{subset} images, {duration((total - done) / rate)} left")
    progress.end()
    return store.finish(), n_passed


def _parts(
    task: Task,
    images: Images,
    views: NDArray[np.int16] | None,
    ranges: tuple[tuple[int, int], ...],
    missing: tuple[int, ...],
    workers: Workers,
) -> Iterator[tuple[int, tuple[NDArray[np.float16], int]]]:
    """Yield (part number, what `extract` returned) as Ray finishes them, two parts a worker in flight."""
    import ray

    all_images = ray.put(images)  # once a node; a part is cut out of it where it is computed
    waiting = list(reversed(missing))
    running: dict[Any, int] = {}
    while waiting or running:
        while waiting and len(running) < 2 * workers.n_workers:
            part = waiting.pop()
            rows = np.arange(*ranges[part])
            of_part = None if views is None else views[rows]
            running[task(all_images, rows, of_part)] = part
        finished, _ = ray.wait(list(running))
        for reference in finished:
            yield running.pop(reference), ray.get(reference)


def _resources(checked: Checked, workers: Workers) -> dict[str, float]:
    return {"num_gpus": checked.plan.gpus_per_trial} if workers.device == "cuda" else {"num_cpus": 1}
