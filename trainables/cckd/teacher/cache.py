"""Teacher features on disk, found by what made them: a key that hashes every ingredient.

A set of features is built in parts, each written whole or not at all, so that a killed build goes on where it
stopped; then the parts become one file. Layout under the cache's root:

    <key>/parts/256-384.safetensors   while it is being built
    <key>/features.safetensors        (N, V, D) or (N, D), then
    <key>/meta.json                   the ingredients and the file's SHA-256; its presence says "complete"
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from trainables.cckd.errors import TeacherError

PART_SIZE = 128

#: Raise it when the code computes other features from the same ingredients, so that old caches are not found.
RECIPE = 1

_TENSOR = "features"


def hash_array(array: NDArray[Any]) -> str:
    """SHA-256 over dtype, shape and bytes."""
    head = f"{array.dtype.str} {array.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide a feature's bits; read without importing them."""
    return {name: version(name) for name in ("torch", "timm")}


@dataclass(frozen=True)
class FeatureKey:
    """What a set of cached features depends on.

    Attributes:
        teacher, teacher_sha256: the backbone's name and its weight file's hash.
        size: side of the teacher's input, pixels.
        data_sha256, subset: the data set's hash, and which of its sets ('train', 'val').
        views_sha256: `hash_array` of the views, None for un-augmented images.
        shape: of the features, (N, V, D) or (N, D).
        versions: from `library_versions`.
        dtype: of the features.
        recipe: version of the code that computes them.
    """

    teacher: str
    teacher_sha256: str
    size: int
    data_sha256: str
    subset: str
    views_sha256: str | None
    shape: tuple[int, ...]
    versions: dict[str, str]
    dtype: str = "float16"
    recipe: int = RECIPE

    @property
    def digest(self) -> str:
        """SHA-256 of the ingredients as canonical JSON; names the folder."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def part_ranges(n_total: int, part_size: int = PART_SIZE) -> tuple[tuple[int, int], ...]:
    """Cut 0..n_total into half-open ranges of `part_size`, the last one shorter."""
    return tuple((start, min(start + part_size, n_total)) for start in range(0, n_total, part_size))


class FeatureCache:
    """One set of features under `root`. It holds nothing open, so any process may use a copy."""

    def __init__(self, root: Path, key: FeatureKey, *, part_size: int = PART_SIZE) -> None:
        self.key = key
        self.folder = root / key.digest
        self.ranges = part_ranges(key.shape[0], part_size)

    @property
    def complete(self) -> bool:
        """Whether `load` has something to read."""
        return self._meta.exists()

    def missing_parts(self) -> tuple[int, ...]:
        """Numbers of the parts still to be computed; a torn or foreign part counts as missing."""
        if self.complete:
            return ()
        return tuple(number for number in range(len(self.ranges)) if self._read_part(number) is None)

    def write_part(self, number: int, features: NDArray[np.float16]) -> None:
        """Keep the features of images `ranges[number]`, whole or not at all."""
        assert self._fits(number, features), (number, features.shape, features.dtype)
        tensors = {_TENSOR: np.ascontiguousarray(features)}
        _write_whole(self._part(number), save(tensors, {"sha256": hash_array(features)}))

    def finish(self) -> NDArray[np.float16]:
        """Merge the parts into one file, remove them, and return the features.

        Raises:
            TeacherError: parts that are missing.
        """
        if not self.complete:
            parts = [self._read_part(number) for number in range(len(self.ranges))]
            whole = [part for part in parts if part is not None]
            if len(whole) < len(parts):
                raise TeacherError(f"{self.folder}: {len(parts) - len(whole)} of {len(parts)} parts are missing")
            content = save({_TENSOR: np.concatenate(whole)})
            _write_whole(self._file, content)
            meta = {"sha256": hashlib.sha256(content).hexdigest(), "key": asdict(self.key)}
            _write_whole(self._meta, json.dumps(meta, indent=1).encode())
        shutil.rmtree(self.folder / "parts", ignore_errors=True)
        return self.load()

    def load(self) -> NDArray[np.float16]:
        """Read and verify the features.

        Raises:
            TeacherError: a file that is missing, altered or not of the key's shape; says how to remove it.
        """
        try:
            meta = json.loads(self._meta.read_bytes())
            content = self._file.read_bytes()
            if hashlib.sha256(content).hexdigest() != meta["sha256"]:
                raise ValueError("its SHA-256 is not the one written beside it")
            features: NDArray[np.float16] = load(content)[_TENSOR]
            if features.shape != self.key.shape or features.dtype != self.key.dtype:
                raise ValueError(f"it holds {features.dtype} {features.shape}")
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise TeacherError(
                f"teacher features {self._file} can not be used: {error}; remove the folder {self.folder} "
                "and they will be computed again"
            ) from error
        return features

    @property
    def _file(self) -> Path:
        return self.folder / "features.safetensors"

    @property
    def _meta(self) -> Path:
        return self.folder / "meta.json"

    def _part(self, number: int) -> Path:
        start, end = self.ranges[number]  # not the number: a build of another part size may have gone before
        return self.folder / "parts" / f"{start}-{end}.safetensors"

    def _fits(self, number: int, features: NDArray[Any]) -> bool:
        start, end = self.ranges[number]
        return features.shape == (end - start, *self.key.shape[1:]) and features.dtype == self.key.dtype

    def _read_part(self, number: int) -> NDArray[np.float16] | None:
        """The part, or None where there is none or it is not whole; such a part is computed again."""
        try:
            with safe_open(self._part(number), "np") as part:
                features: NDArray[np.float16] = part.get_tensor(_TENSOR)
                written = (part.metadata() or {}).get("sha256")
        except (OSError, SafetensorError):
            return None
        return features if self._fits(number, features) and hash_array(features) == written else None


def _write_whole(path: Path, content: bytes) -> None:
    """Write beside, flush to disk, rename: a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # so that the rename itself survives a power cut
    finally:
        os.close(folder)
