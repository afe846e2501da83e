"""A data set: its images and labels before any split, and its entry in the registry."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.errors import DataError
from trainables.cckd.recipe import Recipe

OptionValue = int | float | str


class DataUnavailableError(DataError):
    """A data set whose files are not available; `faults` lists every place that was tried and what to do."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images uint8 (N, Ch, H, W) with labels int64 (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> "ImageSet":
        """Return the samples at `indices`, in that order."""
        return ImageSet(self.images[indices], self.labels[indices])

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The arrays that the set's hash covers."""
        return self.images, self.labels


#: The images of one set with their labels, in memory or in files.
LabelledImages = ImageSet | ImageFiles


@dataclass(frozen=True, eq=False)
class RawData:
    """A set as published: the pool of training images (and of a hold-out), the test set, perhaps a val set.

    Attributes:
        source: where it was found, one line.
        val: the set's own validation set, where it has one.
        class_names: C names, where only the files know the classes.
    """

    pool: LabelledImages
    test: LabelledImages
    source: str
    val: LabelledImages | None = None
    class_names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class DataSetInfo:
    """One entry of the registry.

    Attributes:
        name, description: what `--list-data` prints.
        options: option -> default value, of the option's type. An empty text means that the option is not given.
        recipes: how its students are trained, the default first.
        splits: split modes that make sense for this set, the default first.
        read: (data root, may download, options) -> RawData; raises DataUnavailableError.
        class_names: C names, in label order; None where they come from the files.
        n_holdout: images per class that `holdout` takes from the training pool as D_val; an option `holdout` overrides
            it.
        padding: largest shift of a training view, pixels; 0 for files, whose views are crops.
        flip: whether a training view may be mirrored left to right.
        required: options without a default.
        of_imagenet: whether its images and labels are ImageNet-1k's.
    """

    name: str
    description: str
    options: Mapping[str, OptionValue]
    recipes: tuple[Recipe, ...]
    splits: tuple[str, ...]
    read: Callable[[Path, bool, Mapping[str, OptionValue]], RawData]
    class_names: tuple[str, ...] | None = None
    n_holdout: int = 0
    padding: int = 0
    flip: bool = True
    required: tuple[str, ...] = ()
    of_imagenet: bool = False

    @property
    def default_split(self) -> str:
        """The split mode where the user gives none."""
        return self.splits[0]

    def recipe(self, name: str | None = None) -> Recipe:
        """Return the recipe of this name, or the set's default where it is None.

        Raises:
            DataError: the set has no such recipe; names its recipes.
        """
        for recipe in self.recipes:
            if name in (None, recipe.name):
                return recipe
        known = ", ".join(recipe.name for recipe in self.recipes)
        raise DataError(f"--recipe of {self.name} must be one of {known}; got {name!r}")


def hash_sets(sets: Mapping[str, LabelledImages]) -> str:
    """Return the SHA-256 over the names of the sets and the shapes and bytes of their arrays."""
    digest = hashlib.sha256()
    for name, of_set in sets.items():
        for array in of_set.arrays:
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
