"""A store of small images in one folder, shared by every study with the same data root and size.

    <data root>/image-store/256px-1/ab/ab12....jpg

A file is named by a hash of the original's relative path and mark. So an original that changes gets another file, and
cuts of one long tail share theirs. A file has the time of its original, which shows a change that the mark does not.
Each file is written beside and renamed, whole or not at all. A kill loses the images at hand; the others are as they
would be without it. No file is synced to the disk. Its seal shows what a power cut tore, and the image is made again.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.data.images.formats.header import mark_of, read_content
from trainables.cckd.data.images.formats.limits import UnusableImageError
from trainables.cckd.data.images.formats.seal import is_whole
from trainables.cckd.data.images.image_files import ImageFiles, StoredFiles
from trainables.cckd.data.store.small_image import RECIPE, small_image, small_sizes
from trainables.cckd.errors import DamagedImageError, DataError
from trainables.cckd.files.atomic import replacing

#: Folder of the stores under the data root.
FOLDER = "image-store"

#: Faults of a disk that room would mend.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

_NAME_BYTES = 16
#: File systems round the time of a file, FAT to 2 seconds.
_ROUNDED_S = 2.0
#: As in a scan: reading waits for the disk, and the hashes of two threads overlap.
_N_THREADS = 16
_CHUNK = 256


@dataclass(frozen=True)
class ImageStore:
    """The store of one size under a data root. It keeps no file open, so any process may use a copy.

    Attributes:
        root: folder of all stores.
        shorter: pixels of the shorter side of its images.
    """

    root: Path
    shorter: int

    @property
    def folder(self) -> Path:
        """Where the images of this size lie."""
        return self.root / f"{self.shorter}px-{RECIPE}"

    @property
    def recipe(self) -> str:
        """What decides the pixels beside the originals; the teacher's features are filed under it."""
        return self.folder.name

    @property
    def free_bytes(self) -> int:
        """Free bytes of the disk on which the store lies, or will lie."""
        there = next(path for path in (self.root, *self.root.parents) if path.exists())
        return shutil.disk_usage(there).free

    def stored(self, files: ImageFiles) -> StoredFiles:
        """Return a scanned set as it is read from the store; nothing is read or made here."""
        if isinstance(files, StoredFiles):
            return files
        sizes = small_sizes(files.sizes, self.shorter)
        shrinks = (sizes != files.sizes).any(axis=1)
        paths = (
            _path(path, mark) if small else os.path.abspath(files.root / path)
            for path, mark, small in zip(files.paths, files.marks.tolist(), shrinks.tolist(), strict=True)
        )
        return StoredFiles(self.folder, tuple(paths), files.labels, sizes, files.marks)

    def shrinking(self, files: ImageFiles) -> NDArray[np.int64]:
        """Return the indices of the images that are larger than those of the store; the others stay in their files."""
        return np.flatnonzero(files.sizes.min(axis=1, initial=np.iinfo(np.int32).max) > self.shorter)

    def absent(self, files: ImageFiles) -> NDArray[np.int64]:
        """Return the indices of the images that the store should have and has no file of; no file is read."""
        there = self.stored(files)
        rows = self.shrinking(files)
        return rows[[not (self.folder / there.paths[row]).exists() for row in rows.tolist()]]

    def unfinished(self, files: ImageFiles, on_progress: Callable[[int], None] = lambda n: None) -> NDArray[np.int64]:
        """Return the indices of the images that must be made: absent, torn, altered, or of another time than
        their originals.

        Every file of the others is read.

        Args:
            files: a scanned set.
            on_progress: called with the number of files that have been read.
        """
        rows, there = self.shrinking(files), self.stored(files)
        chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
        found: list[bool] = []
        with ThreadPoolExecutor(_N_THREADS) as pool:
            for good in pool.map(partial(_good, files, there), chunks):
                found += good
                on_progress(len(found))
        return rows[~np.array(found, bool)]

    def make(self, files: ImageFiles, index: int) -> int:
        """Make the small image of one original; return its bytes.

        Raises:
            DamagedImageError: the original cannot be decoded, or is another file than when it was scanned.
            DataError: the store cannot be written, because the disk is full for instance.
        """
        written = _written(files.root / files.paths[index])  # before it is read: a later change must be seen
        content = self.small(files, index)
        path = self.folder / _path(files.paths[index], int(files.marks[index]))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, durable=False) as beside:
                beside.write_bytes(content)
                os.utime(beside, (written, written))
        except OSError as error:
            raise self.unwritable(error) from error
        return len(content)

    def unwritable(self, error: OSError) -> DataError:
        """Return what is said of a store that cannot be written: the folder, the fault, and the way out."""
        remedy = "make room there" if error.errno in _NO_ROOM else "mend this"
        place = "" if error.filename is None else f", at {error.filename}"
        return DataError(
            f"the image store {self.folder} cannot be written: {error.strerror}{place}; {remedy} and go on, or begin a "
            "study with --image-store none"
        )

    def small(self, files: ImageFiles, index: int) -> bytes:
        """Return the small file of one original, without writing it.

        Raises:
            DamagedImageError: as `make`.
        """
        from trainables.cckd.data.images.decode import content_of, image_in  # torch, which the driver does without

        original = files.root / files.paths[index]
        content = content_of(original)
        pixels = image_in(content, str(original), tuple(files.sizes[index].tolist()))
        if mark_of(content) != int(files.marks[index]):
            raise DamagedImageError(str(original), "has changed since it was scanned")
        height, width = small_sizes(files.sizes[index : index + 1], self.shorter)[0].tolist()
        name = Path(_path(files.paths[index], int(files.marks[index]))).name
        return small_image(pixels, (height, width), name)

    def remove_leftovers(self) -> None:
        """Delete what killed builders have left half-written. No builder may be at work, but a dying one may end."""
        for path in self.folder.glob("*/.*.tmp"):
            path.unlink(missing_ok=True)


def _good(files: ImageFiles, there: StoredFiles, rows: NDArray[np.int64]) -> list[bool]:
    """Whether each small image is whole, and has the time of its original.

    A change of an original that its mark does not show is seen by its time.
    """
    pairs = ((there.root / there.paths[row], files.root / files.paths[row]) for row in rows.tolist())
    return [file_is_whole(small) and _of_one_time(small, original) for small, original in pairs]


def _of_one_time(small: Path, original: Path) -> bool:
    """Whether a small image was made from the original as it was last written; True where the original is gone."""
    written = _written(original)
    return not written or abs(written - _written(small)) < _ROUNDED_S


def _written(path: Path) -> float:
    """When a file was written, seconds; 0 where it is gone, which a scan has said."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def file_is_whole(path: Path) -> bool:
    """Whether a file of a store is there and as it was written."""
    try:
        return is_whole(read_content(path), path.name)
    except UnusableImageError:
        return False


def _path(path: str, mark: int) -> str:
    """Return where the small image of an original lies, from the original's relative path and mark."""
    ingredients = path.encode("utf-8", "surrogateescape") + b"\0" + mark.to_bytes(8, "little")
    name = hashlib.blake2b(ingredients, digest_size=_NAME_BYTES).hexdigest()
    return f"{name[:2]}/{name}.jpg"
