"""The teacher's pass over one set of images: read from the cache, or computed by Ray workers part by part.

The driver writes each part as it arrives. So a killed pass continues, and a later study of the same data and teacher
starts at once. Features from the cache must still be verified (`verification`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.execution.tasks import get, put, start_actor, start_on_worker, wait_for_one
from study.execution.workers import Workers, load
from study.planning.checked import Checked
from study.teacher.worker_tasks import Extractor, extract
from study.terminal.pace import Silence
from study.terminal.progress import Progress, duration
from trainables.cckd.bundle.assemble import images_of
from trainables.cckd.data.images.decoded_images import Images
from trainables.cckd.files.digests import hash_array
from trainables.cckd.teacher.cache.cache_lock import CacheLock
from trainables.cckd.teacher.cache.feature_cache import FeatureCache, FeatureKey, library_versions

#: Folder of the cache under the data root.
CACHE = "teacher-cache"

#: Seconds between two looks at whether a pass makes progress.
_LOOK_EVERY_S = 5.0

#: Starts `extract` on (images, rows, views) in a Ray worker and returns a reference to its result.
StartExtract = Callable[[Any, NDArray[np.int64], NDArray[np.int16] | None], Any]


@dataclass(frozen=True)
class TeacherPass:
    """The features of one set.

    Attributes:
        features: raw, float16 (N, V, D), or (N, D) without views.
        n_passed: images that the teacher saw in this pass, by its own counter; 0 if the features are from the cache.
        claim: keeps the cache's file in place; it must be held while `features` are read.
        store: the complete cache.
        images, views: the input of the pass; views are None for images without augmentation.
    """

    features: NDArray[np.float16]
    n_passed: int
    claim: CacheLock
    store: FeatureCache
    images: Images
    views: NDArray[np.int16] | None


def teacher_pass(
    checked: Checked, subset: str, views: NDArray[np.int16] | None, workers: Workers, progress: Progress
) -> TeacherPass:
    """Read or compute the features of the images of `subset` in `views` (None: without augmentation). Needs Ray."""
    images = images_of(getattr(checked.data, subset))
    store = feature_cache(checked, subset, views)
    extractors = partial(_extractors, checked, workers)
    wait = partial(progress.say, f"teacher  another study computes the same features of the {subset} images; waiting")
    claim, features, n_passed = store.lock(), None, 0
    claim.share(wait)
    while not store.complete:  # one study builds the cache; the others wait and then find it complete
        if claim.take(wait, unless=lambda: store.complete) and not store.complete:
            silence = Silence(progress.say, "no part of the teacher's pass is finished", partial(load, checked.plan))
            features, n_passed = _build(store, extractors, subset, images, views, progress, silence)
        claim.share(wait)
    if features is None:
        features = store.load()
    return TeacherPass(features, n_passed, claim, store, images, views)


def feature_cache(checked: Checked, subset: str, views: NDArray[np.int16] | None) -> FeatureCache:
    """Return the cache of the features of `subset` in `views`, whether or not it is complete."""
    n_images = len(images_of(getattr(checked.data, subset)))
    key = FeatureKey(
        teacher=checked.teacher.name,
        teacher_sha256=checked.teacher_file.sha256,
        size=checked.teacher_size,
        data_sha256=checked.sha256_of(subset),
        subset=subset,
        views_sha256=None if views is None else hash_array(views),
        shape=(n_images, *(() if views is None else views.shape[1:2]), checked.teacher_file.n_features),
        versions=library_versions(),
        features=checked.teacher.features,
    )
    return FeatureCache(Path(checked.plan.data_root) / CACHE, key)


def _build(
    store: FeatureCache,
    extractors: Callable[[int], list[StartExtract]],
    subset: str,
    images: Images,
    views: NDArray[np.int16] | None,
    progress: Progress,
    silence: Silence,
) -> tuple[NDArray[np.float16], int]:
    """Compute the missing parts; return the features of the set and the number of images seen for these parts."""
    n_views = 1 if views is None else views.shape[1]
    missing = store.missing_parts()
    total = sum(end - start for start, end in store.ranges) * n_views
    done = before = total - sum(store.ranges[part][1] - store.ranges[part][0] for part in missing) * n_views
    n_passed = 0
    progress.begin("teacher", total)
    progress.update(done, f"{subset} images")
    for part, (features, n_seen) in _parts(extractors(len(missing)), images, views, store.ranges, missing, silence):
        silence.end()
        store.write_part(part, features)
        done += len(features) * n_views
        n_passed += n_seen
        rate = (done - before) / max(progress.elapsed_s, 1e-3)
        progress.update(done, f"{subset} images, {duration((total - done) / rate)} left")
    progress.end()
    return store.finish(), n_passed


def _parts(
    extractors: list[StartExtract],
    images: Images,
    views: NDArray[np.int16] | None,
    ranges: tuple[tuple[int, int], ...],
    missing: tuple[int, ...],
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, tuple[NDArray[np.float16], int]]]:
    """Yield (part number, result of `extract`) as Ray finishes them; each extractor has two parts in its queue.

    An extractor that has nothing left to do is given up at once, and its actor ends. The actors of a lost node begin
    again on what the others have freed, and compute the parts that were in their queues.

    Args:
        extractors: as from `_extractors`. The caller must not keep them.
        images, views: of the set.
        ranges: of the parts of the set.
        missing: numbers of the parts to compute.
        on_wait: called every few seconds while none is finished.
    """
    all_images = put(images)  # once per node; the worker cuts its part out of it
    waiting = list(reversed(missing))
    free = 2 * extractors
    del extractors  # beside `free` and `busy` no name may hold one
    busy: dict[Any, StartExtract] = {}
    running: dict[Any, int] = {}
    while waiting or running:
        while waiting and free:
            part = waiting.pop()
            rows = np.arange(*ranges[part])
            reference = free[0](all_images, rows, None if views is None else views[rows])
            running[reference], busy[reference] = part, free.pop(0)
        if not waiting:
            free.clear()
        while not (ready := wait_for_one(list(running), _LOOK_EVERY_S)):
            on_wait()
        for reference in ready:
            free.append(busy.pop(reference))
            yield running.pop(reference), get(reference)


def _extractors(checked: Checked, workers: Workers, n_parts: int) -> list[StartExtract]:
    """Return what computes `n_parts` parts: one entry for each part that is computed at the same time.

    On CPUs the parts are Ray tasks. Trials do not train in their processes: Ray makes no actor of a worker that has run
    a task. On GPUs they are actors. Ray ends the process of a GPU task with the task, and the next process takes ten
    seconds to import torch and start CUDA. An actor lives while there are parts for it and then frees its GPU.
    """
    plan = checked.plan
    fixed = checked.teacher_file, checked.teacher_size, plan.device, workers.decoders
    if plan.device != "cuda":
        return [partial(start_on_worker, plan, extract, *fixed)] * workers.n_workers
    n_actors = min(workers.n_workers, n_parts)
    return [partial(_start_on_actor, start_actor(plan, Extractor, *fixed)) for _ in range(n_actors)]


def _start_on_actor(actor: Any, *part: Any) -> Any:
    """Start `extract` on an actor. The caller must hold the handle: Ray ends an actor with its last handle."""
    return actor.extract.remote(*part)
