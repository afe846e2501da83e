"""A study of simulated features: the product's own commands on a data set that no file holds.

    python -m benchmarks.simulated_study write --data simulated:set=imagenet_lt,scale=0.1 --data-root DIR
    python -m benchmarks.simulated_study run --data simulated:set=imagenet_lt,scale=0.1 --data-root DIR --out DIR
    python -m benchmarks.simulated_study resume DIR/NAME

`write` puts features (`simulated_features`) into the teacher's cache, in its own format, where the study finds them.
Images are 8 x 8 pixels of noise. `run` and `resume` take the flags of `study.run` and `study.resume`. Two things differ
from these: the data set is entered in the registry, and the cache is not compared with what the teacher would compute.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulated_features import BLOCK, SETS, SimulatedSet, World
from study import resume, run
from study.planning.check import check
from study.planning.parser import build_parser
from study.teacher.bundle import VIEW_SEED
from study.teacher.feature_pass import feature_cache
from study.terminal.signals import end_process
from trainables.cckd.bundle.assemble import training_views
from trainables.cckd.data.images.sets import DataSetInfo, ImageSet, OptionValue, RawData
from trainables.cckd.data.registry import DATA_SETS
from trainables.cckd.recipe import quick
from trainables.cckd.teacher.cache.feature_cache import PART_SIZE, FeatureCache

_PIXELS = 8
_SEEDS = {"train": 1, "val": 2}


class Unverified:
    """Stands in for `Verification`: the embedded teacher would compute other features of noise."""

    n_images = 0

    def __init__(self, *of_study: object) -> None:
        del of_study

    def wait(self) -> None:
        """Compare nothing."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the three commands; return its exit code."""
    command, *flags = sys.argv[1:] if argv is None else argv
    commands: dict[str, Callable[[Sequence[str]], int]] = {"write": write, "run": run.main, "resume": resume.main}
    with simulated_data():
        return commands[command](flags)


@contextmanager
def simulated_data() -> Iterator[None]:
    """Enter the simulated sets in the registry for the block, and trust the cache's content."""
    known = {**DATA_SETS, INFO.name: INFO}
    with (
        patch("trainables.cckd.data.spec.DATA_SETS", known),
        patch("study.teacher.bundle.Verification", Unverified),
    ):
        yield


def write(flags: Sequence[str]) -> int:
    """Write the features of the training set and D_val of the study that has these flags; return the exit code."""
    checked = check(build_parser().parse_args(list(flags)))
    size = simulated_set(checked.data.spec.options)
    world = World(size)
    views = training_views(checked.data, checked.teacher.views, seed=VIEW_SEED)
    for subset, of_subset, labels in (("train", views, size.labels), ("val", None, size.val_labels)):
        n_views = 1 if of_subset is None else of_subset.shape[1]
        _write(feature_cache(checked, subset, of_subset), world, labels, n_views, seed=_SEEDS[subset])
    return 0


def simulated_set(options: Mapping[str, OptionValue]) -> SimulatedSet:
    """Return the set that the options of a data set name."""
    return SETS[str(options["set"])].at(float(options["scale"]))


def _write(store: FeatureCache, world: World, labels: NDArray[np.int64], n_views: int, *, seed: int) -> None:
    for part in store.missing_parts():
        start, end = store.ranges[part]
        features = world.block(labels[start:end], part, n_views, seed=seed)
        store.write_part(part, features.reshape(end - start, *store.key.shape[1:]))
    store.finish()


def _read(data_root: Path, download: bool, options: Mapping[str, OptionValue]) -> RawData:
    """Make the images: noise."""
    del data_root, download
    size = simulated_set(options)
    rng = np.random.default_rng(0)
    sets = [
        ImageSet(rng.integers(0, 256, (len(labels), 3, _PIXELS, _PIXELS), np.uint8), labels)
        for labels in (size.labels, size.val_labels, np.arange(size.n_classes))
    ]
    names = tuple(f"class {number}" for number in range(size.n_classes))
    return RawData(sets[0], sets[2], "simulated", val=sets[1], class_names=names)


INFO = DataSetInfo(
    name="simulated",
    description="Simulated features of a real set's size; images of noise.",
    options={"set": "imagenet_lt", "scale": 1.0},
    recipes=(quick(2),),
    splits=("own",),
    read=_read,
)

assert BLOCK == PART_SIZE, "a part of the cache is a block of the world"

if __name__ == "__main__":
    end_process(main)
