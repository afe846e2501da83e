"""The teacher's pass over one set of images: from the cache, or computed by Ray workers, part by part.

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

from study.execution.tuner import Workers
from study.planning.checked import Checked
from study.teacher.worker_tasks import Extractor, extract
from study.terminal.progress import Progress, duration
from trainables.cckd.bundle.trial_data import Images
from trainables.cckd.teacher.cache.cache_lock import Claim
from trainables.cckd.teacher.cache.feature_cache import FeatureCache, FeatureKey, hash_array, library_versions

#: Folder of the cache under the data root.
CACHE = "teacher-cache"

#: Starts `extract` in a Ray worker on (images, rows, views) and returns a reference to its result.
Hand = Callable[[Any, NDArray[np.int64], NDArray[np.int16] | None], Any]


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
    n_views = 1 if views is None else views.shape[1]
    key = FeatureKey(
        teacher=checked.teacher.name,
        teacher_sha256=checked.teacher_file.sha256,
        size=checked.teacher_size,
        data_sha256=checked.sha256_of(subset),
        subset=subset,
        views_sha256=None if views is None else hash_array(views),
        shape=(len(images), *(() if views is None else (n_views,)), checked.teacher_file.n_features),
        versions=library_versions(),
    )
    store = FeatureCache(Path(checked.plan.data_root) / CACHE, key)
    hire = partial(_hire, checked, workers)
    wait = partial(progress.say, f"teacher  another study computes the same features of the {subset} images; waiting")
    claim, features, n_passed = store.claim(), None, 0
    claim.share(wait)
    while not store.complete:  # whoever finds it so builds it, alone; who waited for that finds it complete
        if claim.take(wait, unless=lambda: store.complete) and not store.complete:
            features, n_passed = _build(store, hire, subset, images, views, progress)
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
    hire: Callable[[int], list[Hand]],
    subset: str,
    images: Images,
    views: NDArray[np.int16] | None,
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
    for part, (features, n_seen) in _parts(hire(len(missing)), images, views, store.ranges, missing):
        store.write_part(part, features)
        done += len(features) * n_views
        n_passed += n_seen
        rate = (done - before) / max(progress.elapsed_s, 1e-3)
        progress.update(done, f"{subset} images, {duration((total - done) / rate)} left")
    progress.end()
    return store.finish(), n_passed


def _parts(
    hands: list[Hand],
    images: Images,
    views: NDArray[np.int16] | None,
    ranges: tuple[tuple[int, int], ...],
    missing: tuple[int, ...],
) -> Iterator[tuple[int, tuple[NDArray[np.float16], int]]]:
    """Yield (part number, what `extract` returned) as Ray finishes them, two parts a hand in flight."""
    import ray

    all_images = ray.put(images)  # once a node; a part is cut out of it where it is computed
    waiting = list(reversed(missing))
    free = 2 * hands
    running: dict[Any, tuple[int, Hand]] = {}
    while waiting or running:
        while waiting and free:
            part, hand = waiting.pop(), free.pop(0)
            rows = np.arange(*ranges[part])
            of_part = None if views is None else views[rows]
            running[hand(all_images, rows, of_part)] = part, hand
        finished, _ = ray.wait(list(running))
        for reference in finished:
            part, hand = running.pop(reference)
            free.append(hand)
            yield part, ray.get(reference)


def _hire(checked: Checked, workers: Workers, n_parts: int) -> list[Hand]:
    """What computes `n_parts`, a hand for each that is computed at a time.

    On CPUs these are Ray tasks, whose processes go on to train. Ray ends the process of a task that had a GPU, and the
    next one imports torch and starts CUDA for ten seconds; actors stay for the pass, and then free the GPU.
    """
    import ray

    fixed = checked.teacher_file, checked.teacher_size, workers.device, workers.decoders
    resources = _resources(checked, workers)
    if workers.device != "cuda":
        return [partial(ray.remote(**resources)(extract).remote, *fixed)] * workers.n_workers
    # No core each, which an actor keeps where it names none: the GPU says how many there are. Tried again as tasks are.
    actor = ray.remote(**resources, num_cpus=0, max_restarts=3, max_task_retries=3)(Extractor)
    return [partial(_ask, actor.remote(*fixed)) for _ in range(min(workers.n_workers, n_parts))]


def _ask(actor: Any, *part: Any) -> Any:
    return actor.extract.remote(*part)


def _resources(checked: Checked, workers: Workers) -> dict[str, float]:
    return {"num_gpus": checked.plan.gpus_per_trial} if workers.device == "cuda" else {"num_cpus": 1}
