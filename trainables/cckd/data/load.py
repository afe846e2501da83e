"""From a data set's name to its three sets: find, split, cut the long tail, and look at every file that is left."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables.cckd.data.images.decoded_images import RaggedImages
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.scan import OnScan, scan
from trainables.cckd.data.images.sets import Images, ImageSet, hash_sets
from trainables.cckd.data.spec import DataSpec
from trainables.cckd.data.splits import available_split, resolve_split, split_sets
from trainables.cckd.data.wording import first_few
from trainables.cckd.errors import DataError
from trainables.cckd.long_tail import Groups, cut, groups_of


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
        sha256: over the images and labels of all three sets; of files, over their paths and fingerprints.
        padding: pixels by which a training view may be shifted.
        flip: whether a training view may be mirrored left to right.
        skipped: 'path: reason' of every image file left out.
    """

    spec: DataSpec
    class_names: tuple[str, ...]
    train: Images | RaggedImages
    val: Images | RaggedImages
    test: Images | RaggedImages
    counts: tuple[int, ...]
    split: str
    selected_on: str
    source: str
    sha256: str
    padding: int
    flip: bool
    skipped: tuple[str, ...] = ()

    @property
    def groups(self) -> Groups:
        """Class ids by training count, or by the counts that the option `groups` names."""
        return groups_of(self.spec.group_counts or self.counts)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(Ch, H, W) of every image as the student sees it."""
        if not isinstance(self.train, ImageSet):
            size = int(self.spec.options["size"])
            return 3, size, size
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


def load_data(
    spec: DataSpec,
    *,
    data_root: Path,
    split: str | None = None,
    seed: int = 0,
    download: bool = True,
    skip_corrupt: bool = False,
    on_scan: OnScan | None = None,
) -> LongTailData:
    """Find the set's files, split off D_val, then cut the long tail.

    Args:
        spec: what to load, from `parse_data`.
        data_root: folder where files are looked for and downloads go.
        split: a mode of splits.SPLIT_MODES, None for the set's default.
        seed: which long tail is cut from the pool; 0 is the field's selection for CIFAR. D_val and test do not
            depend on it: it numbers training subsets (`--data-seeds`), below 2**32, and is not the study's seed.
        download: whether the network may be used where no files are found.
        skip_corrupt: leave unusable image files out, rather than refuse the set.
        on_scan: told how far the scan of image files has come, where there are any.

    Raises:
        DataError: a split that makes no sense for the set, more images asked for than a class has, or unusable
            image files.
        DataUnavailableError: the files could not be had.
    """
    info = spec.info
    resolve_split(info, split)  # before a download
    raw = info.read(data_root, download, spec.options)
    mode = available_split(info, split, raw)
    class_names = info.class_names or raw.class_names
    assert class_names is not None, "a set names its classes, or its files do"
    pool, val, test = split_sets(raw, mode, class_names=class_names, n_holdout=spec.n_holdout)
    tail = spec.tail(len(class_names))
    train = pool if tail is None else pool.take(cut(pool.labels, tail, np.random.RandomState(seed)))
    all_sets = {"train": train, "val": val, "test": test}
    sets, skipped = _scanned(all_sets, class_names, skip_corrupt=skip_corrupt, on_scan=on_scan)
    return LongTailData(
        spec=spec,
        class_names=class_names,
        train=sets["train"],
        val=sets["val"],
        test=sets["test"],
        counts=tuple(np.bincount(sets["train"].labels, minlength=len(class_names)).tolist()),
        split=mode,
        selected_on="test" if mode == "paper" else "val",
        source=raw.source,
        sha256=hash_sets(sets),
        padding=info.padding,
        flip=info.flip,
        skipped=skipped,
    )


def _scanned(
    sets: Mapping[str, Images], class_names: tuple[str, ...], *, skip_corrupt: bool, on_scan: OnScan | None
) -> tuple[Mapping[str, Images], tuple[str, ...]]:
    """Scan sets of files: only what was kept is looked at, so an unused broken file stops nobody."""
    files = {name: of_set for name, of_set in sets.items() if isinstance(of_set, ImageFiles)}
    if not files:
        return sets, ()
    found = scan(files, skip_corrupt=skip_corrupt, on_progress=on_scan)
    faults = []
    for name, of_set in found.sets.items():
        present = set(of_set.labels.tolist())
        lost = [f"{c} ({class_name})" for c, class_name in enumerate(class_names) if c not in present]
        if lost:
            faults.append(
                f"the {name} set has no usable image of class {first_few(lost)}; unusable: {found.skipped[0]}"
            )
    if faults:
        raise DataError(faults)
    return found.sets, found.skipped
