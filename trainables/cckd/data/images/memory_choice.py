"""Whether a set of image files is decoded once into memory, or decoded again whenever an image is needed."""

from collections.abc import Iterable
from dataclasses import dataclass

from trainables.cckd.data.images.decoded_images import RaggedImages, decoded_bytes
from trainables.cckd.data.images.image_files import ImageFiles, StoredFiles
from trainables.cckd.data.images.sets import ImageSet
from trainables.cckd.errors import DataError

#: Bytes of decoded images that may stay in a machine's memory, once for all of its trials.
RESIDENT_LIMIT = 2**30


@dataclass(frozen=True)
class DataPath:
    """How images reach a trial: `name` is 'resident' or 'streamed', `reason` says why in half a line."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def choose_path(sets: Iterable[ImageSet | ImageFiles | RaggedImages], wanted: str = "auto") -> DataPath:
    """Decide for the train, val and test sets together.

    Args:
        sets: after the scan, which finds the sizes of images in files. Sets of an image store are streamed: the choice
            was made by the originals.
        wanted: the plan's `data_path`; 'auto' keeps up to RESIDENT_LIMIT bytes in memory.

    Raises:
        DataError: 'streamed' for a set that has no image files.
    """
    files = [of_set for of_set in sets if isinstance(of_set, ImageFiles)]
    if not files:
        if wanted == "streamed":
            raise DataError("--data-path streamed needs a data set of image files; this one is read whole")
        return DataPath("resident", "read whole")
    if any(isinstance(of_set, StoredFiles) for of_set in files):
        return DataPath("streamed", "from the image store")
    n_bytes = sum(decoded_bytes(of_set.sizes) for of_set in files)
    size, limit = f"{n_bytes / 2**30:.2f} GiB decoded", f"{RESIDENT_LIMIT / 2**30:g} GiB"
    by_size = DataPath("resident", f"{size}, at most {limit}")
    if n_bytes > RESIDENT_LIMIT:
        by_size = DataPath("streamed", f"{size}, more than {limit}")
    return by_size if wanted in ("auto", by_size.name) else DataPath(wanted, f"{size}; as chosen")
