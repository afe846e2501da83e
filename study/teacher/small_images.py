"""The images of a study in their store: what it lacks is made by Ray workers before the teacher's pass.

Every image is made on its own and written whole, so a killed build continues with the images that are missing. Studies
share a store: one at a time adds images, and the others read it meanwhile. Nobody removes what a study has claimed.
"""

import math
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np

from study.execution.tasks import TaskDied, get, start_beside_driver, start_once, wait_for_one
from study.execution.workers import load
from study.planning.checked import Checked
from study.planning.cores import image_workers
from study.teacher.worker_tasks import damaged_files, make_small
from study.terminal.pace import Silence
from study.terminal.progress import Progress, duration
from trainables.cckd.data.images.image_files import ImageFiles, StoredFiles
from trainables.cckd.data.store.image_store import ImageStore
from trainables.cckd.errors import DamagedImageError, DataError
from trainables.cckd.teacher.cache.cache_lock import CacheLock

#: Images that a task makes, half a second of work: few enough to share out evenly, enough to hide the start of a task.
_CHUNK = 64
#: Seconds between two looks at whether images are made.
_LOOK_EVERY_S = 5.0


def claim_store(checked: Checked) -> AbstractContextManager[Any]:
    """Return a claim on the study's store: while it is held, nobody removes the store. Without a store it is empty.

    Raises:
        DataError: no study has claimed the store yet, and this user cannot write there.
    """
    if checked.image_store is None:
        return nullcontext()
    claim = CacheLock(checked.image_store.folder)
    try:
        claim.share(lambda: None)  # only a command that prunes holds it alone, for seconds
    except OSError as error:
        raise checked.image_store.unwritable(error) from error
    return claim


def make_small_images(checked: Checked, progress: Progress) -> dict[str, DamagedImageError]:
    """Make what the study's store lacks; return relative path -> what is wrong with an original. Needs Ray.

    Every file of the store is read and compared with its seal; torn and altered ones are made again.

    Raises:
        DataError: the store cannot be written, or its disk has too little room.
    """
    store = checked.image_store
    originals = [files for files in checked.data.image_files if not isinstance(files, StoredFiles)]
    if store is None or not originals:
        return {}
    missing = _missing(store, originals, progress)
    if not missing:
        return {}
    builder = CacheLock(store.folder.with_name(f"{store.folder.name}.build"))
    with builder:
        waiting = f"store    another study adds images to {store.folder}; waiting"
        try:
            builder.take(partial(progress.say, waiting), unless=lambda: False)
            store.remove_leftovers()
        except OSError as error:
            raise store.unwritable(error) from error
        # Another study may have made them meanwhile.
        missing = [files.take(store.unfinished(files)) for files in missing]
        n_missing = sum(map(len, missing))
        progress.say(f"store    making {n_missing:,} small image{'s' * (n_missing != 1)} in {store.folder}")
        silence = Silence(progress.say, "no small image is made", partial(load, checked.plan))
        return _build(store, missing, image_workers(), progress, silence)


def from_store(checked: Checked) -> Checked:
    """Return the study with its images read from its store, if it has one. All of them must have been made."""
    store = checked.image_store
    if store is None:
        return checked
    stored = {id(files): store.stored(files) for files in checked.data.image_files}
    swapped: dict[str, Any] = {name: stored[id(files)] for name, files in checked.data.sets.items()}
    return replace(checked, data=replace(checked.data, **swapped))


def stored_images(checked: Checked, progress: Progress) -> Checked:
    """Make what the study's store lacks and return the study that reads from it; without a store as it is. Needs Ray.

    Raises:
        DamagedImageError: an original is damaged.
        DataError: as `make_small_images`.
    """
    for error in make_small_images(checked, progress).values():
        raise error
    return from_store(checked)


def _missing(store: ImageStore, sets: Sequence[ImageFiles], progress: Progress) -> list[ImageFiles]:
    """Compare the files of a store with their seals; return what must be made of each set, without empty sets."""
    n_before, found = 0, []
    progress.begin("store", sum(len(store.shrinking(files)) for files in sets))

    def tell(n_read: int) -> None:
        progress.update(n_before + n_read, "small images looked at")

    for files in sets:
        found.append(files.take(store.unfinished(files, tell)))
        n_before += len(store.shrinking(files))
    progress.end()
    return [files for files in found if len(files)]


def _build(
    store: ImageStore, missing: Sequence[ImageFiles], n_at_once: int, progress: Progress, silence: Silence
) -> dict[str, DamagedImageError]:
    """Make the missing images, `n_at_once` chunks at a time; return what is wrong with originals."""
    chunks = deque(_spread(missing))
    total, n_done, n_bytes = sum(map(len, chunks)), 0, 0
    damaged: dict[str, DamagedImageError] = {}
    progress.begin("store", total)
    running: dict[Any, ImageFiles] = {}
    while chunks or running:
        while chunks and len(running) < n_at_once:
            files = chunks.popleft()
            running[start_once(make_small, store, files)] = files
        while not (ready := wait_for_one(list(running), _LOOK_EVERY_S)):
            silence()
        silence.end()
        for reference in ready:
            files = running.pop(reference)
            try:
                n_more, found = get(reference)
            except TaskDied as death:
                found = _culprits(files, death)
                n_more = 0
                chunks.append(files.take(np.flatnonzero([path not in found for path in files.paths])))
                n_done -= len(chunks[-1])
            damaged |= {path: DamagedImageError(str(files.root / path), what) for path, what in found.items()}
            n_bytes += n_more
            n_done += len(files)
            left_s = progress.elapsed_s * (total - n_done) / max(1, n_done)
            progress.update(n_done, f"small images, {duration(left_s)} left")
            _require_room(store, n_bytes * (total - n_done) // max(1, n_done))
    progress.end()
    return damaged


def _spread(sets: Sequence[ImageFiles]) -> list[ImageFiles]:
    """Cut sets into chunks. Each is spread evenly over its set, which may be sorted by class, and sets take turns.

    So the first chunks show how many bytes and seconds all of them take.
    """
    chunks: list[tuple[float, ImageFiles]] = []
    for files in sets:
        n = math.ceil(len(files) / _CHUNK)
        chunks += [(k / n, files.take(np.arange(k, len(files), n))) for k in range(n)]
    return [chunk for _, chunk in sorted(chunks, key=itemgetter(0))]


def _culprits(files: ImageFiles, death: TaskDied) -> dict[str, str]:
    """Return relative path -> what is said of each file that ends the process that decodes it.

    Raises:
        DataError: none does, so that the process was ended from outside.
    """
    relative = {str(files.root / path): path for path in files.paths}
    found: dict[str, str] = get(start_beside_driver(damaged_files, files, 1))
    if not found:
        raise DataError(f"a process that makes small images has ended, perhaps for lack of memory: {death}")
    return {relative[path]: what for path, what in found.items()}


def _require_room(store: ImageStore, n_bytes: int) -> None:
    """Refuse a store for which the disk has no room, before the disk is full.

    Raises:
        DataError: says what is needed and what is free.
    """
    free = store.free_bytes
    if n_bytes > free:
        raise DataError(
            f"the image store {store.folder} needs {n_bytes / 1e9:.2g} GB more, and its disk has {free / 1e9:.2g} GB "
            "free; make room there and go on, or begin a study with --image-store none"
        )
