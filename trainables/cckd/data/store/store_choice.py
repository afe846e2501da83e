"""Whether a study reads its images from a store, and how large they are there."""

from math import ceil
from pathlib import Path

from trainables.cckd.data.images.crops import CENTRE_SHARE
from trainables.cckd.data.images.formats.limits import LARGEST_SIDE
from trainables.cckd.data.images.memory_choice import DataPath
from trainables.cckd.data.store.image_store import FOLDER, ImageStore
from trainables.cckd.errors import DataError

#: Least shorter side where the user names none, pixels: what evaluations of 224 pixels are cut out of.
SHORTER_SIDE = 256


def choose_store(
    asked: int | None, path: DataPath, *, data_root: Path, student_size: int, teacher_size: int
) -> ImageStore | None:
    """Return the store of a study, None where it reads the originals.

    Args:
        asked: pixels of the shorter side; 0 for the originals, None for the default: a store for streamed sets, of
            SHORTER_SIDE or more, so that no evaluation view of student or teacher is enlarged.
        path: how images reach a trial.
        data_root: the stores lie beneath it.
        student_size, teacher_size: sides of their inputs, pixels.

    Raises:
        DataError: a size for a set that is not streamed, or one below the student's input.
    """
    if asked == 0 or (asked is None and path.name != "streamed"):
        return None
    if path.name != "streamed":
        raise DataError(
            f"--image-store PX is for images that are streamed from files; these are {path}; choices: --image-store "
            f"none{'' if path.reason == 'read whole' else ', --data-path streamed'}"
        )
    if asked is not None and not student_size <= asked <= LARGEST_SIDE:
        raise DataError(
            f"--image-store must be none, or from the {student_size} pixels of the student's input to {LARGEST_SIDE}; "
            f"got {asked}"
        )
    needed = ceil(max(student_size, teacher_size) / CENTRE_SHARE)
    return ImageStore(data_root / FOLDER, asked or max(SHORTER_SIDE, needed))
