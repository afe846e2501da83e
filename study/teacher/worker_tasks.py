"""What the driver has Ray workers do beside trials, since it imports neither torch nor timm itself.

A worker imports the module that defines its task. This one imports little, and each task what it needs.
"""

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.bundle.trial_data import Images
from trainables.cckd.teacher.weights import TeacherFile

if TYPE_CHECKING:
    from trainables.cckd.data.images.image_files import ImageFiles
    from trainables.cckd.teacher.backbone import Backbone
    from trainables.cckd.teacher.fit.fitted_teacher import Classifier

#: What a task that nobody waits for yet adds to its niceness: a tenth of the share of those who compute beside it.
_PATIENCE = 10


def extract(
    file: TeacherFile,
    size: int,
    device: str,
    decoders: int,
    images: Images,
    rows: NDArray[np.int64],
    views: NDArray[np.int16] | None,
) -> tuple[NDArray[np.float16], int]:
    """Features of the images at `rows`, and images that passed; a worker keeps its backbone from part to part."""
    from trainables.cckd.teacher.features import extract as features_of

    backbone = _backbone(file, size, device)
    before = backbone.n_images_seen
    taken = images[rows] if isinstance(images, np.ndarray) else images.take(rows)
    features = features_of(backbone, taken, views, workers=decoders)
    return features, backbone.n_images_seen - before


class Extractor:
    """`extract` as a Ray actor: one process from the first part of a pass to the last."""

    def __init__(self, file: TeacherFile, size: int, device: str, decoders: int) -> None:
        self._fixed = file, size, device, decoders

    def extract(
        self, images: Images, rows: NDArray[np.int64], views: NDArray[np.int16] | None
    ) -> tuple[NDArray[np.float16], int]:
        """What `extract` returns."""
        return extract(*self._fixed, images, rows, views)


def extract_all(file: TeacherFile, size: int, *sets: Any) -> list[NDArray[np.float16]]:
    """Features of several sets on the CPU; `sets` holds images, rows and views of one after the other.

    Not as tuples: Ray hands over what a reference stands for only where it is an argument itself. The process keeps a
    low priority from here on: trials that start beside it wait for the node's cores more urgently.
    """
    os.nice(_PATIENCE)
    asked = zip(sets[::3], sets[1::3], sets[2::3], strict=True)
    return [extract(file, size, "cpu", 0, *one)[0] for one in asked]


def read_classifier(file: TeacherFile, size: int) -> "Classifier":
    """The network's own classifier."""
    from trainables.cckd.teacher.backbone import read_classifier

    return read_classifier(file, size=size)


def share(file: TeacherFile, size: int) -> dict[str, NDArray[Any]]:
    """The backbone's weights as arrays, which trials map from the object store."""
    from trainables.cckd.teacher.backbone import build_backbone

    return build_backbone(file, size=size).share()


def n_parameters(student: str, n_classes: int, channels: int, size: int) -> int:
    """The student's parameters; at a low priority, as `extract_all`."""
    os.nice(_PATIENCE)
    from trainables.cckd.students.build import build_student

    return build_student(student, n_classes, channels, size).n_parameters


def hold(files: "ImageFiles", workers: int) -> Any:
    """A set's image files, decoded, by so many processes."""
    from trainables.cckd.data.images.view_stream import hold

    return hold(files, workers=workers)


@cache
def _backbone(file: TeacherFile, size: int, device: str) -> "Backbone":
    from trainables.cckd.teacher.backbone import build_backbone

    return build_backbone(file, size=size, device=device)
