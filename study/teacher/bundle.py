"""The work that is done once per cut of the data: the teacher's pass over every view, its fit, the bundle of trials.

`decode_images` comes before it, if the study holds its images in memory.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from study.execution.tasks import get, start_beside_driver, start_on_worker
from study.execution.workers import Workers
from study.planning.checked import Checked
from study.planning.cores import image_workers
from study.planning.plan import LOCAL
from study.teacher.feature_pass import teacher_pass
from study.teacher.small_images import make_small_images
from study.teacher.teacher_fit import teacher_fit
from study.teacher.verification import Verification
from study.teacher.worker_tasks import damaged_files, hold, share
from study.terminal.progress import Progress
from trainables.cckd.bundle.assemble import assemble, judge_teacher, training_views
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.confidence import ConfidenceBins
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.errors import DamagedImageError
from trainables.cckd.metrics import accuracy, balanced_accuracy, recalls
from trainables.cckd.records import ClassCounts
from trainables.cckd.teacher.cache.cache_lock import CacheLock
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher
from trainables.cckd.teacher.fit.probe import ProbeFit
from trainables.cckd.teacher.readout import Readout

#: Views are drawn from a constant seed, so that studies that differ only in their seeds share one teacher pass.
VIEW_SEED = 0


@dataclass(frozen=True)
class Prepared:
    """Everything that trials share, and the manifest's description of the teacher.

    Attributes:
        data: the bundle for the object store.
        readout: the fitted teacher.
        teacher: the manifest's `teacher` entry.
        claim: keeps the cache file of the training features in place while trials read it; `data` may only name it.
        verification: of the features from the cache. Wait for it before a result that depends on them is recorded.
    """

    data: TrialData
    readout: Readout
    teacher: dict[str, Any]
    claim: CacheLock
    verification: Verification


def damaged_images(checked: Checked, progress: Progress) -> dict[str, DamagedImageError]:
    """Decode every image file of the study once; return relative path -> what is wrong with it. Needs Ray.

    Images that a store keeps small are decoded when they are made for it, and then no more. The scan does not see every
    damage: most of it in the pixels of a JPEG or WebP file shows in decoding, if anywhere.
    A process that ends over a file is replaced, and the file is named.
    """
    files = checked.data.image_files
    damaged = make_small_images(checked, progress)
    if store := checked.image_store:
        files = [images.take(np.setdiff1d(np.arange(len(images)), store.shrinking(images))) for images in files]
    if n_files := sum(map(len, files)):
        progress.say(f"data     decoding {n_files} images once")
    for images in filter(len, files):
        relative = {str(images.root / path): path for path in images.paths}
        found: dict[str, str] = get(start_beside_driver(damaged_files, images, image_workers()))
        damaged |= {relative[path]: DamagedImageError(path, what) for path, what in found.items()}
    return damaged


def decode_images(checked: Checked) -> Checked:
    """Return the study with its image files decoded in Ray's object store, if its data path says so. Needs Ray."""
    files = {name: images for name, images in checked.data.sets.items() if isinstance(images, ImageFiles)}
    if not files or checked.data_path.name == "streamed":
        return checked
    # One task per set, which may use every core, because no trial runs yet. The driver's node is the only one that must
    # have the files: trials read the decoded images.
    started = {name: start_beside_driver(hold, images, image_workers()) for name, images in files.items()}
    decoded: dict[str, Any] = {name: get(reference) for name, reference in started.items()}
    return replace(checked, data=replace(checked.data, **decoded))


def prepare(checked: Checked, workers: Workers, progress: Progress) -> Prepared:
    """Run or read the teacher's pass over train and val, fit its form, and assemble the bundle. Needs Ray."""
    data, spec, file = checked.data, checked.teacher, checked.teacher_file
    n_classes = len(data.class_names)
    size = checked.teacher_size
    views = training_views(data, spec.views, seed=VIEW_SEED)
    train = teacher_pass(checked, "train", views, workers, progress)
    val = teacher_pass(checked, "val", None, workers, progress)
    verification = Verification(file, size, [train, val])
    fitted = teacher_fit(checked, train, val, workers, progress)
    state = fitted.readout.state(
        name=spec.name, size=size, weights=spec.weights, sha256=file.sha256, features=spec.features
    )
    one_machine = checked.plan.address == LOCAL
    bundle = assemble(data, views, train.features, fitted, state, one_machine=one_machine)
    on_val, _ = judge_teacher(fitted.readout, val.features, data.val.labels, n_classes=n_classes)
    described = {
        **_described(checked, fitted, on_val),
        "forward_passes": train.n_passed + val.n_passed,
        "verification_passes": verification.n_images,
    }
    return Prepared(bundle, fitted.readout, described, train.claim, verification)


def teacher_on_test(
    checked: Checked, prepared: Prepared, workers: Workers, progress: Progress
) -> tuple[ClassCounts, ConfidenceBins, int]:
    """Return the teacher's counts and its bins of confidence on test, and how many images it saw for them. Needs Ray.

    It saw 0 images where their features are from the cache.
    """
    test = checked.data.test
    passed = teacher_pass(checked, "test", None, workers, progress)
    Verification(checked.teacher_file, checked.teacher_size, [passed]).wait()
    prepared.verification.wait()
    n_classes = len(checked.data.class_names)
    return *judge_teacher(prepared.readout, passed.features, test.labels, n_classes=n_classes), passed.n_passed


def shared_weights(checked: Checked) -> Any:
    """Return a reference to the backbone's weights in the object store; the trials of one node read one copy."""
    return start_on_worker(checked.plan, share, checked.teacher_file, checked.teacher_size)


def _described(checked: Checked, fitted: FittedTeacher, on_val: ClassCounts) -> dict[str, Any]:
    spec, embeddings, readout = checked.teacher, checked.embeddings, fitted.readout
    return {
        "name": spec.name,
        "form": spec.form,
        "tau": spec.tau if spec.form == "linear_probe" else None,
        "size": checked.teacher_size,
        "features": spec.features,
        "views": spec.views,
        "sha256": checked.teacher_file.sha256,
        "weights": spec.weights,
        "embeddings": embeddings.source if embeddings else None,
        "embeddings_sha256": embeddings.sha256 if embeddings else None,
        "classes": list(checked.outputs) if checked.outputs and spec.classes else None,
        "prior_source": spec.prior,
        "prior_smoothing": spec.prior_smoothing,
        "targets": spec.targets,
        "folds": spec.folds if spec.targets == "out_of_fold" else None,
        "strength": readout.strength if isinstance(readout, ProbeFit) else None,
        "scale": readout.scale,
        "train_accuracy": fitted.train_accuracy,
        "target_accuracy": fitted.target_accuracy,
        "val_accuracy": accuracy(on_val),
        "val_balanced_accuracy": balanced_accuracy(on_val),
        "val_recall": recalls(on_val).tolist(),
        "prior": np.exp(fitted.log_prior).tolist(),
        "prior_distance": fitted.prior_distance,
    }
