"""A set of image files of every kind and of several sizes."""

from pathlib import Path

import pytest

from tests.support.damaged_images import KINDS, encoded
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.scan import scan
from trainables.cckd.data.store.image_store import ImageStore

#: Shorter side of the store; the last image of the set is not larger.
SHORTER = 32


@pytest.fixture
def originals(tmp_path: Path) -> ImageFiles:
    """One image of each kind, and one of 20 x 71 pixels."""
    root = tmp_path / "originals"
    (root / "a b").mkdir(parents=True)
    paths = [f"a b/{number}.img" for number in range(len(KINDS) + 1)]
    for number, kind in enumerate(KINDS):
        (root / paths[number]).write_bytes(encoded(kind, 50 + 3 * number, 90, seed=number))
    (root / paths[-1]).write_bytes(encoded("jpeg", 20, 71))
    listed = ImageFiles.listed(root, paths, [number % 3 for number in range(len(paths))])
    return scan({"train": listed}).sets["train"]


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    """An empty store of small images."""
    return ImageStore(tmp_path / "data" / "image-store", SHORTER)
