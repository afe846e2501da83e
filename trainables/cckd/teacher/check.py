"""Does the teacher fit the data? Checked before all slow work, so that a wrong file ends in exit code 2."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.embeddings import ClassEmbeddings, encode_class_names, read_embeddings
from trainables.cckd.teacher.spec import OWN_CLASSIFIER, TeacherSpec
from trainables.cckd.teacher.teacher_file import TeacherFile


def check_fit(
    spec: TeacherSpec,
    file: TeacherFile,
    *,
    class_names: Sequence[str],
    counts: Sequence[int],
    val_labels: NDArray[np.int64],
) -> ClassEmbeddings | None:
    """Check the teacher against the data set's classes.

    Args:
        spec: the teacher.
        file: its weights.
        class_names: C names, in label order.
        counts: training images of each class, (C,).
        val_labels: labels of D_val, int64 (M,).

    Returns:
        The class embeddings of a zero_shot teacher, None for every other form.

    Raises:
        TeacherError: a classifier or embeddings of other classes, embeddings of another width, too few images for
            the folds, or a D_val without a class that the prior needs; lists every fault.
    """
    faults: list[str] = []
    embeddings = None
    if spec.form == "zero_shot":
        try:
            if spec.embeddings is None:
                embeddings = encode_class_names(spec.name, class_names)
            else:
                embeddings = read_embeddings(Path(os.path.expanduser(spec.embeddings)).absolute(), class_names)
            faults += _width_faults(file, embeddings)
        except TeacherError as error:
            faults += error.faults
    if spec.form in OWN_CLASSIFIER and file.n_outputs != len(counts):
        faults.append(
            f"teacher form {spec.form} needs a classifier of the data set's {len(counts)} classes; "
            f"{file.path} has {file.n_outputs} outputs"
        )
    if spec.targets == "out_of_fold" and min(counts) < 2:
        faults.append(
            "teacher targets out_of_fold need at least 2 training images of every class; "
            f"got {min(counts)} in class {list(counts).index(min(counts))}"
        )
    missing = np.setdiff1d(np.arange(len(counts)), val_labels)
    if spec.prior == "fixed_point" and missing.size:
        faults.append(
            f"teacher prior fixed_point needs every class in the validation set; {missing.size} are not, "
            f"the first is class {missing[0]}"
        )
    if faults:
        raise TeacherError(faults)
    return embeddings


def _width_faults(file: TeacherFile, embeddings: ClassEmbeddings) -> list[str]:
    widths = sorted({width for width in (file.n_outputs, file.n_features) if width})
    if embeddings.vectors.shape[1] in widths:
        return []
    return [
        f"class embeddings must be as wide as the outputs or features of teacher {file.name}, "
        f"{' or '.join(map(str, widths))}; {embeddings.source} has width {embeddings.vectors.shape[1]}"
    ]
