"""From a data set's name to its three sets: find, split, then cut the long tail."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables.cckd.data.sets import ImageSet, hash_sets
from trainables.cckd.data.spec import DataSpec
from trainables.cckd.data.splits import resolve_split, split_sets
from trainables.cckd.longtail import Groups, cut, groups_of


@dataclass(frozen=True, eq=False)
class LongTailData:
    """A long-tailed training set with the balanced sets it is judged on.

    Attributes:
        spec: the set's name and options.
        class_names: C names, in label order.
        train, val, test: under split 'paper' val and test are the same images.
        counts: training images of each class, (C,).
        split: how D_val was had, a key of splits.SPLIT_MODES.
        selected_on: 'val', or 'test' where D_val is the test set.
        source: one line, where the files were found.
        sha256: over the images and labels of all three sets.
        padding: pixels by which a training view may be shifted.
        flip: whether a training view may be mirrored left to right.
    """

    spec: DataSpec
    class_names: tuple[str, ...]
    train: ImageSet
    val: ImageSet
    test: ImageSet
    counts: tuple[int, ...]
    split: str
    selected_on: str
    source: str
    sha256: str
    padding: int
    flip: bool

    @property
    def groups(self) -> Groups:
        """Class ids by training count."""
        return groups_of(self.counts)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(Ch, H, W) of every image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


def load_data(
    spec: DataSpec, *, data_root: Path, split: str | None = None, seed: int = 0, download: bool = True
) -> LongTailData:
    """Find the set's files, split off D_val, then cut the long tail.

    Args:
        spec: what to load, from `parse_data`.
        data_root: folder where files are looked for and downloads go.
        split: a mode of splits.SPLIT_MODES, None for the set's default.
        seed: which long tail is cut from the pool. D_val and test do not depend on it: it numbers training
            subsets (`--data-seeds`), below 2**32, and is not the study's seed.
        download: whether the network may be used where no files are found.

    Raises:
        DataError: a split that makes no sense for the set, or more images asked for than a class has.
        DataUnavailableError: the files could not be had.
    """
    info = spec.info
    mode = resolve_split(info, split)
    raw = info.read(data_root, download)
    pool, val, test = split_sets(raw, info, mode)
    train = pool.take(cut(pool.labels, spec.counts, np.random.RandomState(seed)))
    return LongTailData(
        spec=spec,
        class_names=info.class_names,
        train=train,
        val=val,
        test=test,
        counts=spec.counts,
        split=mode,
        selected_on="test" if mode == "paper" else "val",
        source=raw.source,
        sha256=hash_sets({"train": train, "val": val, "test": test}),
        padding=info.padding,
        flip=info.flip,
    )
