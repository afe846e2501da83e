"""The handwritten digits: read from scikit-learn's file, without scikit-learn."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from trainables.cckd.data.sources.digits import N_TEST, read_digits


def test_the_images_and_labels_are_those_of_load_digits() -> None:
    raw, theirs = read_digits(Path(), False, {}), load_digits()
    pixels = np.concatenate([raw.pool.images[:, 0], raw.test.images[:, 0]])
    labels = np.concatenate([raw.pool.labels, raw.test.labels])
    ours = {(label, image.tobytes()) for label, image in zip(labels, pixels, strict=True)}
    scaled = np.rint(theirs.images * (255 / 16)).astype(np.uint8)
    assert ours == {(label, image.tobytes()) for label, image in zip(theirs.target, scaled, strict=True)}
    assert len(labels) == len(theirs.target)
    assert np.bincount(raw.test.labels).tolist() == [N_TEST] * 10


def test_reading_them_imports_no_scikit_learn() -> None:
    code = (
        "import sys; from pathlib import Path; from trainables.cckd.data.sources.digits import read_digits;"
        "read_digits(Path(), False, {}); print('sklearn' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
