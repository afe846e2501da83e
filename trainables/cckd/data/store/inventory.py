"""The stores under a data root, read from their files alone: for listing, verifying and pruning."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from trainables.cckd.data.store.image_store import FOLDER, file_is_whole
from trainables.cckd.data.store.small_image import RECIPE

_NAME = re.compile(r"\d+px-(\d+)")
_N_THREADS = 16


@dataclass(frozen=True)
class StoreEntry:
    """One store.

    Attributes:
        folder: its path.
        n_files, n_bytes: of its small images.
        reachable: whether studies of this version read it.
    """

    folder: Path
    n_files: int
    n_bytes: int
    reachable: bool

    def n_damaged(self) -> int:
        """Return how many files are not as they were written. This reads every byte."""
        with ThreadPoolExecutor(_N_THREADS) as pool:
            return sum(not whole for whole in pool.map(file_is_whole, self.folder.rglob("*.jpg")))


def store_entries(data_root: Path) -> tuple[StoreEntry, ...]:
    """Return every store under a data root, by folder name; other folders are ignored."""
    found = []
    for folder in sorted((data_root / FOLDER).glob("*/")):
        name = _NAME.fullmatch(folder.name)
        if name is not None:
            sizes = [path.stat().st_size for path in folder.rglob("*.jpg")]
            found.append(StoreEntry(folder, len(sizes), sum(sizes), int(name[1]) == RECIPE))
    return tuple(found)
