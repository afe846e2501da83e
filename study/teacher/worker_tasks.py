"""The tasks that Ray workers do for the driver beside trials; the driver itself imports neither torch nor timm.

A worker imports the module that defines its task. So this module imports little, and each task imports what it needs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Timer
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from study.teacher.memory import naming_memory
from trainables.cckd.data.images.decoded_images import Images
from trainables.cckd.precision import StepShape, StepTime
from trainables.cckd.teacher.teacher_file import TeacherFile

if TYPE_CHECKING:
    from trainables.cckd.data.images.image_files import ImageFiles
    from trainables.cckd.data.store.image_store import ImageStore
    from trainables.cckd.teacher.backbone import Backbone
    from trainables.cckd.teacher.fit.fitted_teacher import Classifier

#: Niceness of a task that nothing waits for yet. It gives the task a tenth of the CPU time of a process beside it.
_LOW_PRIORITY = 10
#: Seconds without a part after which a process lets its backbone go; the next part is in its queue already.
_KEEP_S = 10.0

#: What a user can do where the teacher's pass needs more memory than a device has.
_PASS_CHOICES = {
    "cuda": "a larger --gpus-per-trial, a smaller --teacher-size, a smaller --teacher",
    "cpu": "a smaller --max-concurrent, a smaller --teacher-size, a smaller --teacher",
}


def extract(
    file: TeacherFile,
    size: int,
    device: str,
    decoders: int,
    images: Images,
    rows: NDArray[np.int64],
    views: NDArray[np.int16] | None,
) -> tuple[NDArray[np.float16], int]:
    """Compute the features of the images at `rows`; a worker keeps its backbone until no further part comes.

    Args:
        file: the teacher's weights.
        size: side of the teacher's input images in pixels.
        device: 'cpu' or 'cuda'.
        decoders: processes that decode image files ahead.
        images: one set.
        rows: (N,) indices into the set.
        views: (N, V, 5) views of these images; None for the images as they are.

    Returns:
        Features, float16 (N, V, D), or (N, D) without views; and the number of images that the teacher saw.

    Raises:
        TeacherError: the device has too little memory.
    """
    from trainables.cckd.teacher.features import extract as features_of

    with naming_memory("the teacher's pass", device, _PASS_CHOICES[device]), _KEPT.lent(file, size, device) as backbone:
        before = backbone.n_images_seen
        taken = images[rows] if isinstance(images, np.ndarray) else images.take(rows)
        features = features_of(backbone, taken, views, workers=decoders)
        return features, backbone.n_images_seen - before


class Extractor:
    """`extract` as a Ray actor: one process computes all its parts of a pass."""

    def __init__(self, file: TeacherFile, size: int, device: str, decoders: int) -> None:
        self._fixed = file, size, device, decoders

    def extract(
        self, images: Images, rows: NDArray[np.int64], views: NDArray[np.int16] | None
    ) -> tuple[NDArray[np.float16], int]:
        """As the function `extract`."""
        return extract(*self._fixed, images, rows, views)


def extract_all(file: TeacherFile, size: int, *sets: Any) -> list[NDArray[np.float16]]:
    """Compute features of several sets on the CPU; `sets` is a flat list: images, rows, and views of each set.

    The list is flat because Ray replaces a reference by its object only if the reference itself is an argument. The
    process keeps a low priority from here on, because trials beside it need the node's cores more urgently.
    """
    os.nice(_LOW_PRIORITY)
    asked = zip(sets[::3], sets[1::3], sets[2::3], strict=True)
    return [extract(file, size, "cpu", 0, *one)[0] for one in asked]


def read_classifier(file: TeacherFile, size: int) -> "Classifier":
    """Read the network's own classifier."""
    from trainables.cckd.teacher.backbone import read_classifier

    return read_classifier(file, size=size)


def share(file: TeacherFile, size: int) -> dict[str, NDArray[Any]]:
    """Return the backbone's weights as arrays, which trials map from the object store."""
    from trainables.cckd.teacher.backbone import build_backbone

    return build_backbone(file, size=size).share()


def n_parameters(student: str, n_classes: int, channels: int, size: int) -> int:
    """Count the student's parameters; keeps a low priority, like `extract_all`."""
    os.nice(_LOW_PRIORITY)
    from trainables.cckd.students.build import build_student

    return build_student(student, n_classes, channels, size).n_parameters


def time_step(shape: StepShape) -> StepTime:
    """Time a step of a student on this node, in float32 and in bfloat16."""
    from trainables.cckd.training.step_times import time_step

    return time_step(shape)


def damaged_files(files: "ImageFiles", workers: int) -> dict[str, str]:
    """Decode every image file of a set once in `workers` processes; return path -> what is wrong with it."""
    from trainables.cckd.data.images.decoders import decoders
    from trainables.cckd.data.images.view_stream import damaged_files

    try:
        return damaged_files(files, workers=workers)
    finally:
        decoders().close()


def hold(files: "ImageFiles", workers: int) -> Any:
    """Decode the image files of a set in `workers` threads and return them in memory."""
    from trainables.cckd.data.images.view_stream import hold

    return hold(files, workers=workers)


def make_small(store: "ImageStore", files: "ImageFiles") -> tuple[int, dict[str, str]]:
    """Make the small images of these files; return their bytes, and relative path -> what is wrong with an original."""
    from trainables.cckd.errors import DamagedImageError

    n_bytes, damaged = 0, {}
    for index, path in enumerate(files.paths):
        try:
            n_bytes += store.make(files, index)
        except DamagedImageError as error:
            damaged[path] = error.what
    return n_bytes, damaged


class _KeptBackbone:
    """The backbone of this process. The process outlives the pass and trains trials, which need the memory."""

    def __init__(self) -> None:
        self._end: Timer | None = None

    @contextmanager
    def lent(self, file: TeacherFile, size: int, device: str) -> Iterator["Backbone"]:
        """Lend the backbone to one part, and let it go if no other part comes within `_KEEP_S`."""
        if self._end is not None:
            self._end.cancel()
        try:
            yield _backbone(file, size, device)
        finally:
            self._end = Timer(_KEEP_S, _backbone.cache_clear)
            self._end.daemon = True
            self._end.start()


_KEPT = _KeptBackbone()


@cache
def _backbone(file: TeacherFile, size: int, device: str) -> "Backbone":
    from trainables.cckd.teacher.backbone import build_backbone

    return build_backbone(file, size=size, device=device)
