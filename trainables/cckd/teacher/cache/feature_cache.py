"""Teacher features on disk, found by a key that hashes everything they depend on.

A set of features is built in parts, each written whole or not at all, so that a killed build continues where it
stopped. Then the parts become one file. Layout under the cache's root:

    <key>/parts/key.json              the ingredients, during the build, and
    <key>/parts/256-384.safetensors   the finished parts
    <key>/features.safetensors        (N, V, D) or (N, D), then
    <key>/meta.json                   the ingredients and the file's SHA-256; its presence says "complete"
    <key>/fits/                       teachers fitted to them (see `fit_cache`)

The finished files do not depend on kills or on the order of the parts. They are read through a memory map, so that a
set larger than memory can be used, and verified by hash. The study also computes some features again. That detects what
no hash can: a library or a machine that now computes other features.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from trainables.cckd.errors import TeacherError
from trainables.cckd.files.atomic import replacing, write_bytes, write_json
from trainables.cckd.files.digests import hash_array, json_digest, sha256_of
from trainables.cckd.teacher.cache.cache_lock import CacheLock

PART_SIZE = 128

#: Increase it when the code computes other features from the same ingredients, so that old caches are not found.
RECIPE = 2

_TENSOR = "features"
_KEY_NOTE = "key.json"
_DTYPES = {"float16": "F16", "float32": "F32"}

#: Number of views computed again when a cache is opened, and the largest relative error per view. Another batch size or
#: processor changes a feature in its third digit, another model or image in its first.
SAMPLE_VIEWS = 8
_SAMPLE_TOLERANCE = 0.02


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that decide a feature's bits, without importing the libraries."""
    return {name: version(name) for name in ("torch", "timm")}


@dataclass(frozen=True)
class FeatureKey:
    """Everything that a set of cached features depends on.

    Attributes:
        teacher, teacher_sha256: the backbone's name and its weight file's hash.
        size: side of the teacher's input, pixels.
        data_sha256, subset: the data set's hash, and which of its sets ('train', 'val').
        views_sha256: `hash_array` of the views, None for un-augmented images.
        shape: shape of the features, (N, V, D) or (N, D).
        versions: from `library_versions`.
        dtype: dtype of the features.
        recipe: version of the code that computes them.
        features: what was read of the backbone: final, stages or both.
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
    features: str = "final"

    @property
    def ingredients(self) -> dict[str, Any]:
        """The fields as plain types. Final features have no field of their own, as in caches of earlier versions."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("features", "final")}

    @property
    def digest(self) -> str:
        """SHA-256 of the ingredients as canonical JSON, the name of the folder."""
        return json_digest(self.ingredients, spaced=True)


def part_ranges(n_total: int, part_size: int = PART_SIZE) -> tuple[tuple[int, int], ...]:
    """Return half-open ranges of `part_size` that cover 0..n_total; the last one may be shorter."""
    return tuple((start, min(start + part_size, n_total)) for start in range(0, n_total, part_size))


class FeatureCache:
    """One set of features under `root`. It keeps no file open, so any process may use a copy."""

    def __init__(self, root: Path, key: FeatureKey, *, part_size: int = PART_SIZE) -> None:
        self.key = key
        self.folder = root / key.digest
        self.ranges = part_ranges(key.shape[0], part_size)

    @property
    def complete(self) -> bool:
        """Whether the features are complete, so that `load` can read them."""
        return self._meta.exists()

    @property
    def sha256(self) -> str:
        """SHA-256 of the complete features' file as recorded beside it; `load` compares the file with it."""
        return str(json.loads(self._meta.read_bytes())["sha256"])

    def lock(self) -> CacheLock:
        """Return a lock on the folder: shared for reading, exclusive for building or removing."""
        return CacheLock(self.folder)

    def missing_parts(self) -> tuple[int, ...]:
        """Return the numbers of the parts to compute; a torn or foreign part counts as missing."""
        if self.complete:
            return ()
        return tuple(number for number in range(len(self.ranges)) if self._read_part(number) is None)

    def write_part(self, number: int, features: NDArray[np.float16]) -> None:
        """Write the features of images `ranges[number]`, whole or not at all."""
        assert self._fits(number, features), (number, features.shape, features.dtype)
        note = self.folder / "parts" / _KEY_NOTE
        if not note.exists():
            note.parent.mkdir(parents=True, exist_ok=True)
            write_json(note, {"key": self.key.ingredients})
        tensors = {_TENSOR: np.ascontiguousarray(features)}
        write_bytes(self._part(number), save(tensors, {"sha256": hash_array(features)}))

    def finish(self) -> NDArray[np.float16]:
        """Merge the parts into one file, part by part, remove them, and return the features.

        Raises:
            TeacherError: parts that are missing.
        """
        if not self.complete:
            self._merge()
        shutil.rmtree(self.folder / "parts", ignore_errors=True)
        return self.load()

    def load(self) -> NDArray[np.float16]:
        """Verify the features and map them into memory, read-only.

        Raises:
            TeacherError: a file that is missing, altered or not of the key's shape; says how to remove it.
        """
        try:
            meta = json.loads(self._meta.read_bytes())
            if sha256_of(self._file) != meta["sha256"]:
                raise ValueError("its SHA-256 is not the one written beside it")
            features = _map(self._file)
            if features.shape != self.key.shape or features.dtype != self.key.dtype:
                raise ValueError(f"it holds {features.dtype} {features.shape}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self.unusable(str(error)) from error
        return features

    def unusable(self, reason: str) -> TeacherError:
        """Return the error that says why these features cannot be used and how to remove them."""
        return TeacherError(
            f"teacher features {self._file} cannot be used: {reason}; remove the folder {self.folder} "
            "and they will be computed again"
        )

    def sample(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return images (n,) and views (n,) to compute again on opening; one cache always has the same sample."""
        rng = np.random.default_rng(int(self.key.digest[:16], 16))
        n_images, n_views = self.key.shape[0], self.key.shape[1] if len(self.key.shape) == 3 else 1
        n = min(SAMPLE_VIEWS, n_images)
        return np.sort(rng.choice(n_images, n, replace=False)), rng.integers(0, n_views, n)

    def compare(self, features: NDArray[np.float16], again: NDArray[np.float16]) -> None:
        """Compare loaded features with the sampled views (n, D) computed again.

        Raises:
            TeacherError: they differ by more than arithmetic explains.
        """
        images, views = self.sample()
        kept = (features[images, views] if features.ndim == 3 else features[images]).astype(np.float32)
        size = np.maximum(np.linalg.norm(kept, axis=1), np.finfo(np.float16).tiny)
        off = np.linalg.norm(kept - again.astype(np.float32), axis=1) / size
        if not (off <= _SAMPLE_TOLERANCE).all():
            wrong = int((~(off <= _SAMPLE_TOLERANCE)).sum())
            raise self.unusable(
                f"{wrong} of {len(images)} views computed again came out otherwise "
                f"(off by {off.max():.0%}, at most {_SAMPLE_TOLERANCE:.0%} is arithmetic)"
            )

    def _merge(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(f".{self._file.name}.*.tmp"):
            leftover.unlink()  # from a driver that was killed at this point; no other process builds now
        n_missing = 0
        with replacing(self._file) as beside:
            with beside.open("wb", buffering=0) as file:
                file.write(_header(self.key))
                for number in range(len(self.ranges)):
                    part = self._read_part(number)
                    n_missing += part is None
                    if part is not None:
                        file.write(np.ascontiguousarray(part).data)
            if n_missing:
                raise TeacherError(f"{self.folder}: {n_missing} of {len(self.ranges)} parts are missing")
            sha256 = sha256_of(beside)
        write_json(self._meta, {"sha256": sha256, "key": self.key.ingredients})

    @property
    def _file(self) -> Path:
        return self.folder / "features.safetensors"

    @property
    def _meta(self) -> Path:
        return self.folder / "meta.json"

    def _part(self, number: int) -> Path:
        start, end = self.ranges[number]  # not the number: an earlier build may have had another part size
        return self.folder / "parts" / f"{start}-{end}.safetensors"

    def _fits(self, number: int, features: NDArray[Any]) -> bool:
        start, end = self.ranges[number]
        return features.shape == (end - start, *self.key.shape[1:]) and features.dtype == self.key.dtype

    def _read_part(self, number: int) -> NDArray[np.float16] | None:
        """Return the part, or None where it is absent or damaged; such a part is computed again."""
        try:
            with safe_open(self._part(number), "np") as part:
                features: NDArray[np.float16] = part.get_tensor(_TENSOR)
                written = (part.metadata() or {}).get("sha256")
        except (OSError, SafetensorError):
            return None
        return features if self._fits(number, features) and hash_array(features) == written else None


def _header(key: FeatureKey) -> bytes:
    """Return the head of a safetensors file with one tensor: its length, then JSON padded to 8 bytes."""
    n_bytes = int(np.prod(key.shape)) * np.dtype(key.dtype).itemsize
    entry = {"dtype": _DTYPES[key.dtype], "shape": list(key.shape), "data_offsets": [0, n_bytes]}
    text = json.dumps({_TENSOR: entry}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _map(path: Path) -> NDArray[Any]:
    """Map the tensor of a file written by `_merge`, read-only."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))[_TENSOR]
    dtype = next(name for name, code in _DTYPES.items() if code == entry["dtype"])
    return np.memmap(path, dtype, "r", offset=8 + length, shape=tuple(entry["shape"]))
