"""From a data set's name to its three sets: find the files, split, cut the long tail, scan the files that remain."""

from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.data.images.decoded_images import RaggedImages
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.scan import OnScan, scan
from trainables.cckd.data.images.sets import ImageSet, LabelledImages, hash_sets
from trainables.cckd.data.spec import DataSpec
from trainables.cckd.data.splits import available_split, resolve_split, split_sets
from trainables.cckd.errors import DataError, first_few
from trainables.cckd.long_tail import Groups, class_counts, cut, groups_of


@dataclass(frozen=True, eq=False)
class LongTailData:
    """A long-tailed training set, with the balanced sets that models are evaluated on.

    Attributes:
        spec: the set's name and options.
        class_names: C names, in label order.
        train, val, test: under split 'paper' val and test are the same images.
        counts: training images of each class, (C,).
        split: where D_val comes from, one of splits.SPLIT_MODES.
        selected_on: 'val', or 'test' where D_val is the test set.
        source: where the files were found, one line.
        sha256: over the images and labels of all three sets; for files, over their paths and fingerprints.
        padding: largest shift of a training view, pixels.
        flip: whether a training view may be mirrored left to right.
        skipped: 'path: reason' for each image file that was left out.
        left_out: relative path -> what is wrong, of each file that left the sets of a study under way.
        grouped_by: the counts that decide the groups, where files have left since then; empty for `counts`.
    """

    spec: DataSpec
    class_names: tuple[str, ...]
    train: LabelledImages | RaggedImages
    val: LabelledImages | RaggedImages
    test: LabelledImages | RaggedImages
    counts: tuple[int, ...]
    split: str
    selected_on: str
    source: str
    sha256: str
    padding: int
    flip: bool
    skipped: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    grouped_by: tuple[int, ...] = ()

    @property
    def sets(self) -> dict[str, LabelledImages | RaggedImages]:
        """The three sets by name; under split 'paper' two of them are one object."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @property
    def image_files(self) -> list[ImageFiles]:
        """Those of the three sets that lie in files, each object once."""
        return list({id(of_set): of_set for of_set in self.sets.values() if isinstance(of_set, ImageFiles)}.values())

    @property
    def groups(self) -> Groups:
        """Class ids by training count, or by the counts that the option `groups` selects."""
        return groups_of(self.spec.group_counts or self.grouped_by or self.counts)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(Ch, H, W) of the student's input."""
        if not isinstance(self.train, ImageSet):
            size = int(self.spec.options["size"])
            return 3, size, size
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


def without(data: LongTailData, files: Mapping[str, str]) -> LongTailData:
    """Return the data without some image files; the order of the others and the groups of the classes stay.

    Args:
        data: its files not decoded.
        files: relative path -> what is wrong; a path that no set has does no harm.

    Raises:
        DataError: a class would have no image left.
    """
    kept: dict[int, LabelledImages] = {}
    for of_set in data.image_files:  # two sets that are one object stay one
        if not files.keys().isdisjoint(of_set.paths):
            kept[id(of_set)] = of_set.take(np.flatnonzero([path not in files for path in of_set.paths]))
    sets = {name: kept.get(id(of_set), of_set) for name, of_set in _sets_of(data).items()}
    _require_every_class(sets, data.class_names, [f"{path}: {what}" for path, what in files.items()])
    return replace(
        data,
        train=sets["train"],
        val=sets["val"],
        test=sets["test"],
        counts=tuple(np.bincount(sets["train"].labels, minlength=len(data.class_names)).tolist()),
        sha256=hash_sets(sets),
        left_out={**data.left_out, **files},
        grouped_by=data.grouped_by or data.counts,
    )


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
        data_root: folder of the files, and of downloads.
        split: a mode of splits.SPLIT_MODES, None for the set's default.
        seed: which long tail is cut from the pool, below 2**32; 0 is the usual selection for CIFAR. It numbers
            training subsets (`--data-seeds`) and is not the study's seed. D_val and test do not depend on it.
        download: whether the network may be used where no files are found.
        skip_corrupt: leave unusable image files out, instead of refusing the set.
        on_scan: called with the progress of the scan, where the set has image files.

    Raises:
        DataError: a split that makes no sense for the set, a class with too few images, or unusable image files.
        DataUnavailableError: the files were not found and could not be downloaded.
    """
    info = spec.info
    resolve_split(info, split)  # refuses a wrong split before a download
    raw = info.read(data_root, download, spec.options)
    mode = available_split(info, split, raw)
    class_names = info.class_names or raw.class_names
    assert class_names is not None, "a set names its classes, or its files do"
    pool, val, test = split_sets(raw, mode, class_names=class_names, n_holdout=spec.n_holdout)
    tail = spec.tail(len(class_names))
    if tail is not None:
        held = spec.n_holdout if mode == "holdout" else 0
        left = np.bincount(pool.labels, minlength=len(class_names))
        _require_room(spec, np.array(tail), left, class_names, held=held)
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


def _require_room(
    spec: DataSpec, tail: NDArray[np.int64], left: NDArray[np.int64], class_names: tuple[str, ...], *, held: int
) -> None:
    """Refuse a tail (C,) that needs more images than there are.

    Args:
        spec: of the data set.
        tail: images that each class keeps, (C,).
        left: images that each class has beside the hold-out, (C,).
        class_names: C names.
        held: images of each class that the hold-out takes.

    Raises:
        DataError: in one sentence, with the largest n_max that there are images for.
    """
    short = np.flatnonzero(tail > left)
    if not short.size:
        return
    n_max, most, first = int(spec.options["n_max"]), _most_of_first(spec, left), int(short[0])
    if most is None:
        raise DataError(
            f"{spec.name} has too few images for a tail of ir={spec.options['ir']:g}; got n_max={n_max}; lower ir"
        )
    if not held or (tail > left + held).any():
        beside = f", beside {held} held out per class" if held else ""
        raise DataError(
            f"n_max of {spec.name} must be at most {most} here{beside}; got {n_max}: {short.size} of {len(tail)} "
            f"classes fall short, the first is class {first} ({class_names[first]}) with {left[first]} of {tail[first]}"
        )
    ways = [f"n_max={most} or less", *(["a smaller holdout=K"] if "holdout" in spec.options else [])]
    raise DataError(
        f"the hold-out takes {held} images of each class and leaves {left[first]} of class {first} "
        f"({class_names[first]}), but n_max={n_max} needs {tail[first]}; choose {', '.join(ways)}, or "
        "--split split_test"
    )


def _most_of_first(spec: DataSpec, left: NDArray[np.int64]) -> int | None:
    """Return the largest n_max whose tail fits `left` (C,); None where every one leaves a class without an image."""
    ir, imb_type = float(spec.options["ir"]), str(spec.options["imb_type"])

    def tail(n_max: int) -> tuple[int, ...] | None:
        try:
            return class_counts(n_max, len(left), ir, imb_type)
        except DataError:
            return None

    def is_too_long(n_max: int) -> bool:
        counts = tail(n_max)
        return counts is not None and bool((np.array(counts) > left).any())

    # A larger n_max leaves no class fewer images, so those that fit come first.
    most = bisect_left(range(1, int(spec.options["n_max"]) + 1), True, key=is_too_long)
    return most if most and tail(most) is not None else None


def _scanned(
    sets: Mapping[str, LabelledImages], class_names: tuple[str, ...], *, skip_corrupt: bool, on_scan: OnScan | None
) -> tuple[Mapping[str, LabelledImages], tuple[str, ...]]:
    """Scan the image files. Only files in use are scanned: a broken file that no set uses does no harm."""
    files = {name: of_set for name, of_set in sets.items() if isinstance(of_set, ImageFiles)}
    if not files:
        return sets, ()
    found = scan(files, skip_corrupt=skip_corrupt, on_progress=on_scan)
    _require_every_class(found.sets, class_names, found.skipped)
    return found.sets, found.skipped


def _sets_of(data: LongTailData) -> dict[str, LabelledImages]:
    sets = data.sets
    assert not any(isinstance(of_set, RaggedImages) for of_set in sets.values()), "files leave before they are decoded"
    return sets  # type: ignore[return-value]


def _require_every_class(
    sets: Mapping[str, LabelledImages], class_names: Collection[str], unusable: Collection[str]
) -> None:
    faults = []
    for name, of_set in sets.items():
        present = set(of_set.labels.tolist())
        lost = [f"{c} ({class_name})" for c, class_name in enumerate(class_names) if c not in present]
        if lost:
            faults.append(
                f"the {name} set has no usable image of class {first_few(lost)}; unusable: {next(iter(unusable), None)}"
            )
    if faults:
        raise DataError(faults)
