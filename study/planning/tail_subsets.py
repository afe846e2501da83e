"""Other cuts of the long tail (`--data-seeds`): the same pool, D_val and test set, other training images.

The study searches and selects on its own cut, cut 0. Only the confirmation uses cuts 1, 2, ...
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from study.planning.checked import Checked
from study.planning.plan import StudyPlan
from trainables.cckd.data.images.decoded_images import RaggedImages
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.sets import LabelledImages, hash_sets
from trainables.cckd.data.load import LongTailData, load_data, without
from trainables.cckd.data.shared_images import SharedImages
from trainables.cckd.data.spec import DataSpec
from trainables.cckd.errors import DataError, first_few


def recut_faults(spec: DataSpec, *, data_seeds: int, confirm_seeds: int) -> list[str]:
    """Return what forbids `data_seeds` cuts, as far as the command line alone shows it."""
    if data_seeds == 1:
        return []
    faults = []
    if not spec.is_cut:
        options = [name for name in ("n_max", "ir") if name in spec.info.options]
        hint = f"; give it {' and '.join(options)} to cut one" if options else ""
        faults.append(
            "--data-seeds above 1 needs a long tail that is cut here, so that another can be; every image that "
            f"{spec.name} lists is trained on{hint}; got {data_seeds}"
        )
    if not confirm_seeds:
        faults.append(f"--data-seeds above 1 is for the confirmation, which --confirm-seeds 0 skips; got {data_seeds}")
    return faults


def cut_hashes(plan: StudyPlan, data: LongTailData) -> tuple[str, ...]:
    """Check every cut before the study starts; return the SHA-256 of the data set with each cut, cut 0 first.

    Args:
        plan: holds the number of cuts.
        data: the study's own cut, its images not yet decoded.

    Raises:
        DataError: a cut has unusable image files, other class counts (files were left out of only one of them), or
            the same images as cut 0, because the pool has no others.
    """
    return (data.sha256, *(found.sha256 for _, found in _further_cuts(plan, data)))


class Cuts(NamedTuple):
    """Every cut of a study.

    Attributes:
        hashes: SHA-256 of the data set with each cut, cut 0 first.
        shared: number of a further cut -> judged set -> its images that this cut trains on; absent without any.
    """

    hashes: tuple[str, ...]
    shared: Mapping[int, Mapping[str, int]]


def judged_cuts(plan: StudyPlan, data: LongTailData, images: SharedImages, *, n_known: int = 1) -> Cuts:
    """Check every cut as `cut_hashes` does, and count the images that it shares with D_val and the test set.

    Args:
        plan: holds the number of cuts.
        data: the study's own cut, its images not yet decoded.
        images: of D_val and the test set, which are those of every cut.
        n_known: cuts whose shared images are told already.

    Raises:
        DataError: as `cut_hashes`.
    """
    hashes, shared = [data.sha256], {}
    for data_seed, found in _further_cuts(plan, data):
        hashes.append(found.sha256)
        if data_seed >= n_known and (counts := images.in_training(found.train)):
            shared[data_seed] = counts
    return Cuts(tuple(hashes), shared)


def recut(checked: Checked, data_seed: int) -> Checked:
    """Return the study on another cut; D_val and test set are the same objects as in `checked`, decoded or not.

    Raises:
        DataError: the cut has other images than when the study started.
    """
    data = checked.data
    found = _load(checked.plan, data, data_seed)
    if found.sha256 != checked.cuts[data_seed]:
        raise DataError(
            f"cut {data_seed} of {data.spec} had SHA-256 {checked.cuts[data_seed][:12]} when the study started; "
            f"{found.source} now gives {found.sha256[:12]}"
        )
    return replace(checked, data=replace(found, val=data.val, test=data.test))


def left_out(checked: Checked, files: Mapping[str, str]) -> Checked:
    """Return the study without some image files: relative path -> what is wrong. Its cuts are those of what remains.

    Raises:
        DataError: a class would have no image left, or as `cut_hashes`.
    """
    data = without(checked.data, files)
    return replace(checked, data=data, cuts=cut_hashes(checked.plan, data))


def with_cuts(checked: Checked, known: list[str]) -> Checked:
    """Add the cuts that the plan of a resumed study asks for; the cuts in `known`, from its manifest, must be the same.

    Images that a new cut shares with D_val and test set are counted.

    Raises:
        DataError: as `cut_hashes`; or the data set cannot be cut again, or a cut has changed.
    """
    plan, data = checked.plan, checked.data
    faults = recut_faults(data.spec, data_seeds=plan.data_seeds, confirm_seeds=plan.confirm_seeds)
    if faults:
        raise DataError(faults)
    images = SharedImages({"D_val": data.val, "test": data.test})
    cuts, shared = judged_cuts(plan, data, images, n_known=max(1, len(known)))
    changed = [k for k, (now, before) in enumerate(zip(cuts, known, strict=False)) if now != before]
    if changed:
        raise DataError(
            f"every cut must have the images it had when the study in {checked.folder} was begun; other images in "
            f"cuts {', '.join(map(str, changed))}"
        )
    return replace(checked, cuts=cuts, shared_cuts=shared)


def _further_cuts(plan: StudyPlan, data: LongTailData) -> Iterator[tuple[int, LongTailData]]:
    """Yield (number, data) of each further cut, one at a time, so that the images of one cut are in memory."""
    for data_seed in range(1, plan.data_seeds):
        yield data_seed, _checked_cut(plan, data, data_seed)


def _load(plan: StudyPlan, data: LongTailData, data_seed: int) -> LongTailData:
    found = load_data(
        data.spec,
        data_root=Path(plan.data_root),
        split=plan.split,
        seed=data_seed,
        download=False,  # the study's own cut has found the files
        skip_corrupt=plan.skip_corrupt,
    )
    return without(found, data.left_out) if data.left_out else found


def _checked_cut(plan: StudyPlan, data: LongTailData, data_seed: int) -> LongTailData:
    found = _load(plan, data, data_seed)
    if _judged_on(found) != _judged_on(data):
        raise DataError(f"D_val and test must be the same for every cut; cut {data_seed} of {data.spec} has others")
    other = [
        f"class {c} has {n} instead of {wanted}"
        for c, (n, wanted) in enumerate(zip(found.counts, data.counts, strict=True))
        if n != wanted
    ]
    if other:
        raise DataError(
            f"every cut of --data-seeds must have as many training images of each class; of cut {data_seed} files "
            f"were left out, and {first_few(other)}; repair or remove the broken files"
        )
    if _contents(_undecoded(found.train)) == _contents(_undecoded(data.train)):
        raise DataError(
            f"--data-seeds above 1 needs a pool to choose from; cut {data_seed} of {data.spec} has the same images as "
            "the study's own, since every class uses all it has; lower n_max or raise ir"
        )
    return found


def _judged_on(data: LongTailData) -> str:
    return hash_sets({"val": _undecoded(data.val), "test": _undecoded(data.test)})


def _undecoded(of_set: LabelledImages | RaggedImages) -> LabelledImages:
    assert not isinstance(of_set, RaggedImages), "cuts are checked before images are decoded"
    return of_set


def _contents(of_set: LabelledImages) -> frozenset[bytes | str]:
    """What distinguishes the images, without their order."""
    if isinstance(of_set, ImageFiles):
        return frozenset(of_set.paths)
    return frozenset(image.tobytes() for image in np.asarray(of_set.images))
