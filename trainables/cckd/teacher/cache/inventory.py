"""The content of a teacher cache, read from its files alone: for listing, verifying and pruning."""

import json
import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.cache.cache_lock import CacheLock
from trainables.cckd.teacher.cache.feature_cache import RECIPE, FeatureCache, FeatureKey, library_versions
from trainables.cckd.teacher.cache.fit_files import dead_fits

#: Hexadecimal digits of a SHA-256, the name of a cache's folder; other folders are left alone.
_DIGITS = 64


@dataclass(frozen=True)
class CacheEntry:
    """One folder of the cache.

    Attributes:
        folder: path of the folder.
        key: its ingredients, None where no file holds them.
        complete: whether all features are computed.
        n_parts: finished parts of an incomplete cache.
        n_bytes: size on disk.
    """

    folder: Path
    key: FeatureKey | None
    complete: bool
    n_parts: int
    n_bytes: int

    @property
    def reachable(self) -> bool:
        """Whether a study with the installed libraries and code could use it."""
        return self.key is not None and self.key.versions == library_versions() and self.key.recipe == RECIPE

    def fault(self) -> str | None:
        """Return why it cannot be used, or None. This reads every byte and needs no teacher."""
        if self.key is None:
            return "nothing says what it was computed from"
        if self.key.digest != self.folder.name:
            return "its ingredients are not those its folder is named after"
        try:
            FeatureCache(self.folder.parent, self.key).load()
        except TeacherError as error:
            return error.faults[0]
        return None

    def remove(self) -> bool:
        """Delete the folder unless a study uses it; return whether it was deleted."""
        with CacheLock(self.folder) as claim:
            if not claim.try_take():
                return False
            shutil.rmtree(self.folder)
            claim.remove_file()
            return True

    def remove_leftovers(self, *, unfinished: bool = False) -> int:
        """Delete what no study can use in a folder that stays, unless a study uses the folder; return the bytes freed.

        These are the temporary files of a killed driver, and fits of other versions with their steps.

        Args:
            unfinished: delete the steps of every fit that was killed.
        """
        if not self._leftovers(unfinished=unfinished):
            return 0
        with CacheLock(self.folder) as claim:
            if not claim.try_take():
                return 0
            return sum(map(_remove, self._leftovers(unfinished=unfinished)))

    def _leftovers(self, *, unfinished: bool) -> list[Path]:
        torn = (path for path in self.folder.rglob(".*.tmp") if path.is_file())
        return [*sorted(torn), *dead_fits(self.folder, unfinished=unfinished)]


def entries(root: Path) -> tuple[CacheEntry, ...]:
    """Return every cache under `root`, by folder name; other folders are ignored."""
    found = []
    for folder in sorted(root.glob("*/")):
        if len(folder.name) != _DIGITS or not set(folder.name) <= set("0123456789abcdef"):
            continue
        meta, note = folder / "meta.json", folder / "parts" / "key.json"
        entry = CacheEntry(
            folder=folder,
            key=_read_key(meta if meta.exists() else note),
            complete=meta.exists(),
            n_parts=len(list(folder.glob("parts/*.safetensors"))),
            n_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        )
        found.append(entry)
    return tuple(found)


def _remove(path: Path) -> int:
    """Delete a file, or a folder with its files; return the bytes freed."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    n_bytes = sum(file.stat().st_size for file in files)
    if path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path)
    return n_bytes


def _read_key(path: Path) -> FeatureKey | None:
    try:
        plain: dict[str, Any] = json.loads(path.read_bytes())["key"]
        known = {field.name for field in fields(FeatureKey)}
        return FeatureKey(**{**{name: plain[name] for name in known & plain.keys()}, "shape": tuple(plain["shape"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
