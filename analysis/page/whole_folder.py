"""A folder of results that appears complete or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder to write into. It replaces `target` when the block succeeds, and is deleted otherwise.

    Raises:
        OSError: the folder around `target` cannot be written to.
    """
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield building
        building.chmod(0o755)  # mkdtemp makes a private folder, and others must be able to read a report
        _replace(target, building)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _replace(target: Path, built: Path) -> None:
    """Replace `target` by the folder `built`. This takes two steps: the old folder moves away first."""
    old = built.with_name(f"{built.name}-old")
    if os.path.lexists(target):
        target.rename(old)
    built.rename(target)
    shutil.rmtree(old, ignore_errors=True)
