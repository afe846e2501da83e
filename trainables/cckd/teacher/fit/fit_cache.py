"""Fitted teachers on disk, beside the training features that they were fitted to and removed with them.

A fit takes seconds on every core before the first trial; without this cache a resumed study would fit again. Layout:

    <features' folder>/fits/<key>.safetensors    one fit, written whole or not at all

    <features' folder>/fits/<key>.steps/         finished steps of a long fit, until it is complete

A damaged fit counts as absent, and the teacher is fitted again. Each file notes the recipe and the libraries that made
it, so that `study.cache prune` finds those that no study can use.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from trainables.cckd.files.atomic import write_bytes
from trainables.cckd.files.digests import hash_array, json_digest
from trainables.cckd.teacher.cache.feature_cache import FeatureCache
from trainables.cckd.teacher.cache.fit_files import FITS, made_by
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher
from trainables.cckd.teacher.fit.folds import FoldReadouts
from trainables.cckd.teacher.fit.probe import ProbeFit, StrengthRow
from trainables.cckd.teacher.readout import Readout
from trainables.cckd.teacher.spec import TeacherSpec

_CLASSES: dict[str, Any] = {kind.__name__: kind for kind in (Readout, ProbeFit, FoldReadouts)}


class FitCache:
    """The fit of one teacher to one set of training images, with one D_val."""

    def __init__(
        self,
        spec: TeacherSpec,
        train: FeatureCache,
        train_labels: NDArray[np.int64],
        val: FeatureCache,
        val_labels: NDArray[np.int64],
        *,
        embeddings_sha256: str | None = None,
        outputs: Sequence[str] | None = None,
    ) -> None:
        """Name the file by everything the fit depends on; `train` and `val` must be complete.

        `outputs` are the classes of the classifier's outputs where these are not in the order of the labels.
        The network's own classifier is covered: it comes from the weight file whose hash is in the features' key.
        """
        ingredients: dict[str, Any] = {
            "made_by": made_by(),
            "form": [spec.form, spec.tau, spec.targets, spec.folds],
            "prior": [spec.prior, spec.prior_smoothing],
            "features": [(of.key.digest, of.sha256) for of in (train, val)],
            "labels": [hash_array(labels) for labels in (train_labels, val_labels)],
            "embeddings": embeddings_sha256,
        }
        if outputs is not None:
            ingredients["outputs"] = list(outputs)
        self.path = train.folder / FITS / f"{json_digest(ingredients, spaced=True)}.safetensors"

    @property
    def steps(self) -> Path:
        """The folder for the finished steps of this fit."""
        return self.path.with_suffix(".steps")

    def load(self) -> FittedTeacher | None:
        """Return the fit, or None where it is absent or damaged."""
        try:
            with safe_open(self.path, "np") as file:
                names = file.keys()
                arrays = {name: file.get_tensor(name) for name in names}
                noted = file.metadata() or {}
        except (OSError, SafetensorError):
            return None
        if noted.get("made_by") != made_by() or noted.get("sha256") != _hash(arrays, noted.get("plain", "")):
            return None
        plain = json.loads(noted["plain"])
        return FittedTeacher(
            **{name: _joined(name, of, arrays) for name, of in plain["parts"].items()},
            **{name: array for name, array in arrays.items() if "." not in name},
            **plain["numbers"],
        )

    def keep(self, fitted: FittedTeacher) -> None:
        """Write the fit. A shared cache may be read-only; the next study then fits again."""
        arrays: dict[str, NDArray[Any]] = {}
        plain: dict[str, Any] = {"parts": {}, "numbers": {}}
        for field in fields(fitted):
            value = getattr(fitted, field.name)
            if isinstance(value, np.ndarray):
                arrays[field.name] = value
            elif isinstance(value, float):
                plain["numbers"][field.name] = value
            elif value is not None:
                plain["parts"][field.name] = _parted(field.name, value, arrays)
        text = json.dumps(plain)
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        noted = {"made_by": made_by(), "plain": text, "sha256": _hash(arrays, text)}
        with suppress(OSError):
            self.path.parent.mkdir(exist_ok=True)
            write_bytes(self.path, save(arrays, noted))


def _parted(name: str, value: Any, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the plain fields of a dataclass, and its class; move its arrays to `arrays`."""
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    of_value = {key: one for key, one in found.items() if isinstance(one, np.ndarray)}
    arrays.update({f"{name}.{key}": one for key, one in of_value.items()})
    return {"class": type(value).__name__, **{key: one for key, one in found.items() if key not in of_value}}


def _joined(name: str, plain: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Any:
    """Rebuild the dataclass that `_parted` took apart."""
    of_value = {key.removeprefix(f"{name}."): one for key, one in arrays.items() if key.startswith(f"{name}.")}
    kind = _CLASSES[plain["class"]]
    rest = {key: one for key, one in plain.items() if key != "class"}
    if "path" in rest:
        rest["path"] = tuple(StrengthRow(*row) for row in rest["path"])
    return kind(**of_value, **rest)


def _hash(arrays: dict[str, NDArray[Any]], plain: str) -> str:
    each = {name: hash_array(array) for name, array in arrays.items()}
    return json_digest([each, plain], spaced=True)
